"""Collects what a bug report needs: objects, Events, logs, metrics, versions.

What may be kept is said in ``bundle.shapes``; what cannot be read is said in the archive, and the
rest is collected all the same.
"""

from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from danm_api.codec.endpoint_slice import MANAGED_BY_LABEL
from danm_api.codec.meta import RawObject
from danm_api.errors import DanmError
from danm_api.examining import examine_twice
from danm_api.kube.answers import Excerpt
from danm_api.kube.api import (
    DANMEPS,
    DANMIPBLOCKS,
    DANMNETS,
    DANMNODES,
    ENDPOINT_SLICES,
    EVENTS,
    LEASES,
    NODES,
    PODS,
    SERVICES,
    Resource,
)
from danm_api.kube.paths import object_path
from danm_api.kube.relisting import begin_anew
from danm_api.membership.endpoints import SLICES_MANAGED_BY
from danm_api.names import GROUP, INTERFACES_ANNOTATION
from kubectl_danm.archive import Archive
from kubectl_danm.bundle.censor import Censor
from kubectl_danm.bundle.shapes import OWN_POD, SHAPES, Shape, environment_of, kept
from kubectl_danm.connection import Session, World
from kubectl_danm.view.gaps import Gaps
from kubectl_danm.view.refusals import explain

# Bytes of one container's log, of one Pod's metrics, and of the server's version.
_LOG_BYTES: Final = 2_000_000
_METRICS_BYTES: Final = 2_000_000
_VERSION_BYTES: Final = 100_000
_MB: Final = f"{_LOG_BYTES // 1_000_000} MB"

# Of a port, in DANM's manifests: what ipam-svc serves with TLS.
_HTTPS: Final = "https"
# Decision 0014.
_BEHIND_A_TOKEN: Final = (
    "ipam-svc shows its metrics only to who sends it a token, and the API server passes none on."
    " Add them yourself: kubectl -n {namespace} port-forward pod/NAME 9443, and curl -k -H"
    ' "Authorization: Bearer TOKEN" https://localhost:9443/metrics, with a token for the API server'
    " of who may get the nonResourceURL /metrics, such as Prometheus (kubectl create token)"
)

# What kubelet says of a Pod whose network could not be made, whoever's fault it is.
_NOT_STARTED: Final = "FailedCreatePodSandBox"

Selects = Callable[[RawObject], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is collected.

    Attributes:
        system_namespace: Where DANM runs.
        log_lines: The last so many of each container's log.
        objects: At most so many of each kind.
        between_looks_s: Of the examination.
    """

    system_namespace: str
    log_lines: int
    objects: int
    between_looks_s: float


@dataclass(slots=True, kw_only=True)
class Collector:
    """Collects into one archive.

    Attributes:
        begin: Is told what is done now.
        gaps: What could not be collected, and why.
    """

    world: World
    session: Session
    archive: Archive
    censor: Censor
    bounds: Bounds
    begin: Callable[[str], None]
    gaps: Gaps = field(default_factory=Gaps)
    counts: dict[str, int] = field(default_factory=dict)
    _attached: set[tuple[str, str]] = field(default_factory=set)

    async def collect(self) -> None:
        """Collect all that can be read."""
        began = self.world.now()
        # First, so that the values of their environment are known before anything is written.
        own = await self._own_pods()
        await self._version()
        for resource in (DANMNETS, DANMIPBLOCKS, DANMNODES, NODES):
            await self._kind(resource)
        await self._kind(DANMEPS, selects=self._note_attached)
        await self._kind(PODS, selects=self._uses_danm)
        await self._kind(SERVICES, selects=_is_ours)
        await self._kind(ENDPOINT_SLICES, selects=_is_svcwatcher_s)
        await self._kind(EVENTS, selects=self._concerns_danm)
        await self._kind(LEASES, namespace=self.bounds.system_namespace)
        for pod in own:
            await self._logs(pod)
            await self._metrics(pod)
        await self._examination()
        self._summary(began)

    async def _own_pods(self) -> list[RawObject]:
        """Collect the Pods of DANM, more of which is kept than of others.

        Whoever may not see them gets neither logs nor metrics, and is told so.
        """
        namespace, known = self.bounds.system_namespace, len(self.gaps)
        pods = await self._read(
            PODS,
            namespace=namespace,
            selects=lambda _: True,
            what="DANM's own Pods, and with them all of logs/ and metrics/",
        )
        if not pods and len(self.gaps) == known:
            self.gaps.add(
                "all of logs/ and metrics/",
                f"there is no Pod in namespace {namespace}; --system-namespace names another one"
                " in which DANM runs",
            )
        for pod in pods:
            self.censor.learn(environment_of(pod))
        self._add("danm-pods", pods, OWN_POD)
        return pods

    async def _version(self) -> None:
        self.begin("Version of the API server")
        await self._text("version.json", "/version", max_bytes=_VERSION_BYTES)

    async def _kind(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        selects: Selects = lambda _: True,
    ) -> None:
        found = await self._read(resource, namespace=namespace, selects=selects)
        self._add(resource.plural, found, SHAPES[resource.plural])

    async def _read(
        self, resource: Resource, *, namespace: str | None, selects: Selects, what: str = ""
    ) -> list[RawObject]:
        """Return objects; what cannot be read, or is too much, becomes a gap.

        Args:
            resource: Their kind.
            namespace: None for all.
            selects: Says which are wanted.
            what: They are, where that is not what their kind says.
        """
        self.begin(f"Reading {resource.plural}")
        found: list[RawObject] = []

        async def read() -> bool:
            """Read into ``found``, and say whether it has room for all."""
            found.clear()
            async with aclosing(self.session.api.pages(resource, namespace=namespace)) as pages:
                async for page in pages:
                    for raw in page.items:
                        if not selects(raw):
                            continue
                        if len(found) == self.bounds.objects:
                            return False
                        found.append(raw)
            return True

        try:
            if not await begin_anew(read):
                self.gaps.add(resource.plural, f"only the first {self.bounds.objects} are here")
        except DanmError as error:
            self.gaps.add(what or resource.plural, explain(error))
        return found

    def _add(self, name: str, objects: Iterable[RawObject], shape: Shape) -> None:
        reduced = [kept(raw, shape, self.censor) for raw in objects]
        self.counts[name] = len(reduced)
        self.archive.add_json(f"objects/{name}.json", reduced)

    def _note_attached(self, endpoint: RawObject) -> bool:
        """Take in a DanmEp, and remember whose it is."""
        pod = (endpoint.get("spec") or {}).get("Pod", "")
        self._attached.add((endpoint["metadata"]["namespace"], pod))
        return True

    def _uses_danm(self, pod: RawObject) -> bool:
        """Say whether a Pod of somebody else's is on a network of DANM's."""
        metadata = pod["metadata"]
        asks = INTERFACES_ANNOTATION in (metadata.get("annotations") or {})
        return asks or (metadata["namespace"], metadata["name"]) in self._attached

    def _concerns_danm(self, event: RawObject) -> bool:
        """Say whether an Event is about, or of, DANM."""
        about = event.get("regarding") or {}
        return (
            about.get("apiVersion", "").startswith(f"{GROUP}/")
            or about.get("namespace") == self.bounds.system_namespace
            or event.get("reportingController", "").startswith(f"{GROUP}/")
            or (about.get("namespace"), about.get("name")) in self._attached
            or event.get("reason") == _NOT_STARTED
        )

    async def _logs(self, pod: RawObject) -> None:
        """Collect the logs of a Pod's containers, and of those before them that ended."""
        name = pod["metadata"]["name"]
        path = object_path(PODS, self.bounds.system_namespace, name, "log")
        restarts = {
            each["name"]: each.get("restartCount", 0)
            for group in ("containerStatuses", "initContainerStatuses")
            for each in (pod.get("status") or {}).get(group) or ()
        }
        for container in _containers(pod):
            self.begin(f"Log of {name}, {container}")
            query = {"container": container}
            await self._log(f"logs/{name}/{container}.log", path, query)
            if restarts.get(container):
                before = {**query, "previous": "true"}
                await self._log(f"logs/{name}/{container}.previous.log", path, before)

    async def _log(self, target: str, path: str, query: dict[str, str]) -> None:
        """Collect the last lines of a log: those that are wanted, or as many as have room.

        Of lines and bytes together kubelet would leave out the newest lines: it begins with the
        first of the last lines, and stops where the bytes end.
        """
        wanted = lines = self.bounds.log_lines
        while True:
            tail = {**query, "tailLines": str(lines)}
            found = await self._excerpt(target, path, tail, max_bytes=_LOG_BYTES)
            if found is None:
                return
            if found.whole or lines == 1:
                break
            # Those that had room, less some: the newest may be longer.
            lines = max(1, min(lines - 1, found.text.count("\n") * 3 // 4))
        if not found.whole:
            self.gaps.add(
                target, f"only the beginning of its last line is here, which is longer than {_MB}"
            )
        elif lines < wanted:
            self.gaps.add(
                target,
                f"only its last {lines} lines are here: the last {wanted} are longer than {_MB};"
                " kubectl logs has them",
            )
        self.archive.add_text(target, found.text)

    async def _metrics(self, pod: RawObject) -> None:
        """Collect a Pod's metrics from the port of its readiness, through the API server."""
        name = pod["metadata"]["name"]
        target = f"metrics/{name}.txt"
        if _speaks_tls(pod):
            self.gaps.add(target, _BEHIND_A_TOKEN.format(namespace=self.bounds.system_namespace))
            return
        port = _health_port(pod)
        if port is None:
            return
        self.begin(f"Metrics of {name}")
        path = object_path(PODS, self.bounds.system_namespace, f"{name}:{port}", "proxy/metrics")
        await self._text(target, path, max_bytes=_METRICS_BYTES)

    async def _text(self, target: str, path: str, *, max_bytes: int) -> None:
        """Collect a text; of one that is too long the beginning."""
        found = await self._excerpt(target, path, max_bytes=max_bytes)
        if found is None:
            return
        if not found.whole:
            self.gaps.add(target, f"only its first {max_bytes} bytes are here")
        self.archive.add_text(target, found.text)

    async def _excerpt(
        self, target: str, path: str, query: dict[str, str] | None = None, *, max_bytes: int
    ) -> Excerpt | None:
        """Return a text; None, and a gap, where there is none."""
        try:
            return await self.session.texts.text(path, params=query, max_bytes=max_bytes)
        except DanmError as error:
            self.gaps.add(target, explain(error))
            return None

    async def _examination(self) -> None:
        self.begin("Examining the record, twice")
        try:
            seen = await examine_twice(
                self.session.api,
                now=self.world.now,
                sleep=self.world.sleep,
                between_looks_s=self.bounds.between_looks_s,
            )
        except DanmError as error:
            self.gaps.add("check.json", explain(error))
            return
        report = seen.report(each.finding for each in seen.found)
        self.archive.add_json("check.json", report)

    def _summary(self, began: datetime) -> None:
        self.archive.add_json(
            "summary.json",
            {
                "began": began,
                "ended": self.world.now(),
                "systemNamespace": self.bounds.system_namespace,
                "objects": self.counts,
                "missing": self.gaps.sentences(),
            },
        )


def _is_ours(service: RawObject) -> bool:
    annotations = service["metadata"].get("annotations") or {}
    return any(key.startswith(f"{GROUP}/") for key in annotations)


def _is_svcwatcher_s(slice_: RawObject) -> bool:
    labels = slice_["metadata"].get("labels") or {}
    return bool(labels.get(MANAGED_BY_LABEL) == SLICES_MANAGED_BY)


def _containers(pod: RawObject) -> list[str]:
    spec: dict[str, Any] = pod.get("spec") or {}
    return [
        each["name"] for group in ("containers", "initContainers") for each in spec.get(group) or ()
    ]


def _speaks_tls(pod: RawObject) -> bool:
    """Say whether a Pod serves its metrics with TLS, to who has a token."""
    containers = (pod.get("spec") or {}).get("containers") or ()
    return any(
        port.get("name") == _HTTPS for each in containers for port in each.get("ports") or ()
    )


def _health_port(pod: RawObject) -> int | None:
    """Return the port of a Pod's readiness, which serves its metrics too; None without one."""
    for container in (pod.get("spec") or {}).get("containers") or ():
        probe = (container.get("readinessProbe") or {}).get("httpGet") or {}
        port = probe.get("port")
        if isinstance(port, int):
            return port
        for each in container.get("ports") or ():
            if each.get("name") == port:
                return int(each["containerPort"])
    return None
