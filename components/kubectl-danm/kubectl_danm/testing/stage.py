"""A cluster in memory, and the program that looks at it as a person would."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from click.testing import CliRunner, Result

from danm_api.codec.danm_node import encode_danm_node
from danm_api.codec.danmep import encode_danmep
from danm_api.codec.danmnet import encode_status
from danm_api.codec.ip_block import encode_ip_block
from danm_api.errors import ApiError, NotFoundError
from danm_api.kube.answers import Excerpt
from danm_api.kube.api import (
    DANMEPS,
    DANMIPBLOCKS,
    DANMNETS,
    DANMNODES,
    EVENTS,
    PODS,
    RawObject,
    Resource,
)
from danm_api.model.danm_node import DanmNode
from danm_api.model.danmep import DanmEp
from danm_api.model.danmnet import NetworkStatus
from danm_api.model.ip_block import IPBlock
from danm_api.names import Namespace
from danm_api.testing.builders import NAMESPACE, NODE, a_danmnet, a_raw_danmnet, accepted
from danm_api.testing.clock import START
from danm_api.testing.fake_kube import FakeKube
from kubectl_danm.__main__ import main
from kubectl_danm.connection import Session, Target, World

# In a path such as /api/v1/namespaces/NAMESPACE/pods/POD/log.
_SUBRESOURCE: Final = 7


@dataclass
class FakeTexts:
    """Logs, metrics and versions by their paths; what is not there is not found.

    Attributes:
        refused: Paths that nobody may read.
        lacking: Subresources of Pods, such as ``log``, for which whoever asks has no right.
    """

    answers: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    lacking: set[str] = field(default_factory=set)

    async def text(
        self, path: str, *, params: Mapping[str, str] | None = None, max_bytes: int
    ) -> Excerpt:
        """Answer as the API server would."""
        if path in self.refused:
            raise ApiError(f"GET {path}: {path} is forbidden", status=403)
        words = path.split("/")
        if len(words) > _SUBRESOURCE and words[_SUBRESOURCE] in self.lacking:
            _, _, _, _, namespace, _, pod, subresource, *_ = words
            raise ApiError(
                f'GET {path}: pods "{pod}" is forbidden: User "jane" cannot get resource'
                f' "pods/{subresource}" in API group "" in the namespace "{namespace}"',
                status=403,
            )
        if path not in self.answers:
            raise NotFoundError(f"GET {path}: the server could not find it")
        answer = _as_kubelet_does(self.answers[path].encode(), params or {})
        read = answer[:max_bytes]
        return Excerpt(text=read.decode(errors="replace"), whole=len(answer) <= max_bytes)


def _as_kubelet_does(log: bytes, query: Mapping[str, str]) -> bytes:
    """Return what a query selects: of the last lines the first bytes."""
    lines = log.splitlines(keepends=True)
    last = b"".join(lines[-int(query.get("tailLines", len(lines))) :])
    return last[: int(query.get("limitBytes", len(last)))]


@dataclass
class Stage:
    """What a test puts into a cluster, and what it asks.

    Attributes:
        targets: What was connected to.
        waited_s: How long the program has waited.
    """

    kube: FakeKube = field(default_factory=FakeKube)
    texts: FakeTexts = field(default_factory=FakeTexts)
    targets: list[Target] = field(default_factory=list)
    waited_s: float = 0.0

    def network(
        self,
        name: str = "internal",
        *,
        status: NetworkStatus | None = None,
        **options: Any,  # noqa: ANN401  (of a_danmnet)
    ) -> RawObject:
        """Create a DanmNet that the validator has accepted."""
        net = accepted(a_danmnet(name, **options))
        raw = a_raw_danmnet(name, **options)
        raw["status"] = encode_status(net.status if status is None else status)
        return self.kube.add(DANMNETS, raw)

    def pod(
        self,
        name: str = "processor-1",
        *,
        uid: str = "pod-uid-1",
        annotation: str | None = None,
        labels: Mapping[str, str] | None = None,
        node: str | None = NODE,
        ready: bool = True,
        phase: str = "Running",
        **metadata: object,
    ) -> RawObject:
        """Create a Pod."""
        annotations = {} if annotation is None else {"danm.k8s.io/interfaces": annotation}
        return self.kube.add(
            PODS,
            {
                "metadata": {
                    "namespace": NAMESPACE,
                    "name": name,
                    "uid": uid,
                    "labels": dict(labels or {}),
                    "annotations": annotations,
                    **metadata,
                },
                "spec": {} if node is None else {"nodeName": node},
                "status": {
                    "phase": phase,
                    "conditions": [{"type": "Ready", "status": str(ready)}],
                },
            },
        )

    def endpoint(self, endpoint: DanmEp) -> None:
        """Create a DanmEp."""
        self.kube.add(DANMEPS, encode_danmep(endpoint))

    def block(self, block: IPBlock) -> None:
        """Create a block of the record."""
        self.kube.add(DANMIPBLOCKS, encode_ip_block(block))

    def node(self, node: DanmNode) -> None:
        """Create a DanmNode."""
        self.kube.add(DANMNODES, encode_danm_node(node))

    def event(self, about: RawObject, reason: str, note: str, *, kind: str) -> None:
        """Create a warning, as kubelet writes it."""
        metadata = about["metadata"]
        self.kube.add(
            EVENTS,
            {
                "metadata": {"namespace": metadata["namespace"], "generateName": "e-"},
                "type": "Warning",
                "reason": reason,
                "note": note,
                "regarding": {
                    "kind": kind,
                    "namespace": metadata["namespace"],
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                },
                "deprecatedSource": {"component": "kubelet"},
                "deprecatedCount": 2,
                "deprecatedLastTimestamp": "2026-01-01T00:01:00Z",
            },
        )

    def refuse(self, resource: Resource, *, times: int = 1, where: str | None = None) -> None:
        """Let the API server refuse to list a kind, in its own words."""
        place = "at the cluster scope" if where is None else f'in the namespace "{where}"'
        self.kube.fail_next(
            "list",
            resource,
            ApiError(
                f'GET {resource.plural}: {resource.plural} is forbidden: User "jane" cannot list'
                f' resource "{resource.plural}" in API group "{resource.group}" {place}',
                status=403,
            ),
            times=times,
        )

    def ask(self, *arguments: str, status: int = 0) -> Result:
        """Call the program, which must end with a status."""
        result = CliRunner().invoke(main, list(arguments), obj=self.world())
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return result

    def document(self, *arguments: str, status: int = 0) -> Any:  # noqa: ANN401  (JSON)
        """Call the program for its JSON."""
        return json.loads(self.ask(*arguments, "-o", "json", status=status).stdout)

    def world(self) -> World:
        """Return what the program needs of the world."""
        return World(connect=self._connect, now=lambda: START, sleep=self._sleep)

    @asynccontextmanager
    async def _connect(self, target: Target) -> AsyncIterator[Session]:
        self.targets.append(target)
        yield Session(api=self.kube, texts=self.texts, namespace=Namespace(NAMESPACE))

    async def _sleep(self, seconds: float) -> None:
        self.waited_s += seconds
