"""A node's container runtime and kubelet, as Kubernetes' are: they try again until it works."""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

from danm_api.kube.api import PODS, RawObject
from danm_api.names import INTERFACES_ANNOTATION
from danm_api.node_call import GRACE_NS, DaemonUnreachableError, call_daemon
from danm_api.node_frame import PROGRAM_DANM, encode_request
from tests.lab.chaos.cni.cases import Mood
from tests.lab.chaos.cni.facts import LivingPod, Wanted
from tests.lab.chaos.cni.networks import ENTRIES
from tests.lab.chaos.cni.objects import STATUS_ANNOTATION, told_addresses
from tests.lab.chaos.cni.stage import NAMESPACE, ChaosNode, Stage
from tests.lab.errors import StartError

_FINALIZER: Final = "danm.k8s.io/chaos"
# The runtime's own patience for a case: a node that starts danmd anew is slow.
PATIENCE_S: Final = 240.0
AGAIN_S: Final = 0.2
POLL_S: Final = 0.01
# Deadlines of callers who have less time than usual, so that a run has an end.
_ADD_S: Final = 3.0
_DEL_S: Final = 1.0
# A caller that is in a hurry waits so much longer than it has given danmd.
_BEYOND_S: Final = 0.5


@dataclass(slots=True, kw_only=True)
class ChaosPod:
    """A Pod.

    Attributes:
        sandbox: Its present namespace and container id; None between two.
    """

    raw: RawObject
    wanted: tuple[Wanted, ...]
    case: str
    sandbox: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.raw["metadata"]["name"])

    @property
    def uid(self) -> str:
        """Its UID."""
        return str(self.raw["metadata"]["uid"])


class UnmetError(Exception):
    """A trap was not met, or a Pod did not get what it asks for in time."""


@dataclass(slots=True, kw_only=True)
class Kubelet:
    """Runs Pods on one node, and danmd as its DaemonSet does.

    Attributes:
        pods: Those that live.
        started_s: When danmd was started last, by the monotonic clock.
    """

    stage: Stage
    node: ChaosNode
    pods: list[ChaosPod] = field(default_factory=list)
    started_s: float = 0.0
    # danmd is to be away until somebody says otherwise.
    _is_held_down: bool = False
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    # After an ADD that failed the runtime waits for this before it goes on.
    pausing: asyncio.Event = field(default_factory=asyncio.Event)
    process: asyncio.subprocess.Process | None = None
    container: str = ""

    def __post_init__(self) -> None:
        """Have nothing to wait for."""
        self.pausing.set()

    async def keep_danmd(self) -> None:
        """Start danmd again whenever it has ended, for ever."""
        while True:
            if self._is_held_down or self.node.is_alive():
                if self.node.is_alive() and not self._is_held_down:
                    self._ready.set()
                await asyncio.sleep(POLL_S)
                continue
            self._ready.clear()
            self.started_s = time.monotonic()
            await asyncio.to_thread(self.node.start)
            with suppress(StartError):
                # A trap may end it before it is ready.
                await asyncio.to_thread(self.node.wait_ready)

    async def until_ready(self) -> None:
        """Wait until danmd runs and is ready."""
        async with asyncio.timeout(PATIENCE_S):
            while not (self.node.is_alive() and self._ready.is_set()):
                await asyncio.sleep(POLL_S)

    async def take_danmd_away(self) -> None:
        """Kill danmd until ``give_danmd_back``."""
        self._is_held_down = True
        await asyncio.to_thread(self.node.danmd.kill)
        self._ready.clear()

    def give_danmd_back(self) -> None:
        """Let danmd be started again."""
        self._is_held_down = False

    # Pods

    async def pod(self, wanted: tuple[Wanted, ...], case: str) -> ChaosPod:
        """Have a Pod that has no sandbox yet."""
        entries = [ENTRIES[each.network] for each in wanted if each.network]
        annotations = {INTERFACES_ANNOTATION: json.dumps(entries)} if entries else {}
        raw = await self.stage.cluster.create(
            PODS,
            {
                "metadata": {
                    "name": f"p-{self.node.name}-{uuid4().hex[:6]}",
                    "annotations": annotations,
                    # The object goes when the node has done its part.
                    "finalizers": [_FINALIZER],
                },
                "spec": {
                    "containers": [{"name": "c", "image": "none"}],
                    "nodeName": self.node.name,
                    "automountServiceAccountToken": False,
                    "terminationGracePeriodSeconds": 0,
                },
            },
        )
        made = ChaosPod(raw=raw, wanted=wanted, case=case)
        self.pods.append(made)
        return made

    async def terminate(self, pod: ChaosPod) -> None:
        """Say that a Pod ends."""
        await self.stage.cluster.api.delete(PODS, pod.name, namespace=NAMESPACE)

    async def bury(self, pod: ChaosPod) -> None:
        """Let a Pod's object go."""
        patch = {"metadata": {"finalizers": None}}
        await self.stage.cluster.api.patch(PODS, pod.name, patch, namespace=NAMESPACE)
        self.pods.remove(pod)

    async def end(self, pod: ChaosPod) -> None:
        """End a Pod as usual."""
        await self.terminate(pod)
        await self.remove(pod)
        await self.bury(pod)

    async def living(self) -> list[LivingPod]:
        """Return what the comparison has to find."""
        found = []
        for pod in self.pods:
            raw = await self.stage.cluster.api.get(PODS, pod.name, namespace=NAMESPACE)
            told = raw["metadata"].get("annotations", {}).get(STATUS_ANNOTATION, "[]")
            found.append(
                LivingPod(
                    name=f"{pod.name} ({pod.case})",
                    uid=pod.uid,
                    node=self.node.name,
                    wanted=pod.wanted,
                    annotation=told_addresses(told),
                )
            )
        return found

    # Sandboxes

    async def make(self, pod: ChaosPod, *, hurried: bool = False, mood: Mood | None = None) -> None:
        """Make sandboxes until one works; the first one is hurried, and its plugin in a mood.

        Raises:
            UnmetError: None works.
        """
        deadline = time.monotonic() + PATIENCE_S
        while pod.sandbox is None:
            namespace = await asyncio.to_thread(self.node.make_sandbox)
            container = uuid4().hex * 2
            if mood is not None:
                (self.node.moods / f"ADD-{container}").write_text(mood)
            status, output = await self.call("ADD", pod, namespace, container, hurried=hurried)
            if status == 0:
                pod.sandbox = (namespace, container)
                return
            hurried, mood = False, None
            await self.pausing.wait()
            await self._discard(pod, namespace, container)
            if time.monotonic() > deadline:
                raise UnmetError(f"{pod.name} ({pod.case}) gets no sandbox: {output!r}")

    async def remove(
        self, pod: ChaosPod, *, hurried: bool = False, mood: Mood | None = None
    ) -> None:
        """Remove a Pod's sandbox; the first DEL is hurried, and its plugin in a mood."""
        assert pod.sandbox is not None
        namespace, container = pod.sandbox
        if mood is not None:
            (self.node.moods / f"DEL-{container}").write_text(mood)
        await self._discard(pod, namespace, container, hurried=hurried)
        pod.sandbox = None

    async def _discard(
        self, pod: ChaosPod, namespace: str, container: str, *, hurried: bool = False
    ) -> None:
        """Ask DEL until it works, and remove the namespace, as containerd does."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            status, output = await self.call("DEL", pod, namespace, container, hurried=hurried)
            if status == 0:
                break
            hurried = False
            await asyncio.sleep(AGAIN_S)
            if time.monotonic() > deadline:
                raise UnmetError(f"DEL of {pod.name} ({pod.case}) does not succeed: {output!r}")
        await asyncio.to_thread(self.node.remove_sandbox, namespace)

    async def call(
        self, verb: str, pod: ChaosPod, namespace: str, container: str, *, hurried: bool = False
    ) -> tuple[int, bytes]:
        """Call `danm`, or in a hurry do what it does; return exit status and output."""
        self.container = container
        variables = {
            "PATH": os.environ["PATH"],
            "CNI_COMMAND": verb,
            "CNI_PATH": str(self.node.plugins),
            "CNI_CONTAINERID": container,
            "CNI_NETNS": f"/var/run/netns/{namespace}",
            "CNI_IFNAME": "eth0",
            "CNI_ARGS": (
                f"IgnoreUnknown=1;K8S_POD_NAMESPACE={NAMESPACE};K8S_POD_NAME={pod.name};"
                f"K8S_POD_INFRA_CONTAINER_ID={container};K8S_POD_UID={pod.uid}"
            ),
            "DANM_SOCKET": str(self.node.socket),
            "DANM_READY_MARKER": f"{self.node.directory}/run/ready",
            "DANM_TOMBSTONES": f"{self.node.directory}/state/tombstones",
        }
        config = json.dumps({"cniVersion": "1.1.0", "name": "danm", "type": "danm"}).encode()
        if hurried:
            return await asyncio.to_thread(_send, variables, config)
        self.process = await asyncio.create_subprocess_exec(
            str(self.node.plugins / "danm"),
            env=variables,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await self.process.communicate(config)
        status = self.process.returncode
        self.process = None
        return (1 if status is None else status), output


def _send(variables: Mapping[str, str], config: bytes) -> tuple[int, bytes]:
    """Do what `danm` does, with less time, and give up like a runtime whose time is over."""
    allowed_s = _ADD_S if variables["CNI_COMMAND"] == "ADD" else _DEL_S
    deadline_ns = time.monotonic_ns() + int(allowed_s * 1e9)
    frame = encode_request(
        program=PROGRAM_DANM,
        deadline_ns=deadline_ns,
        environment=b"\0".join(f"{key}={value}".encode() for key, value in variables.items()),
        stdin=config,
    )
    try:
        return call_daemon(
            variables["DANM_SOCKET"],
            frame,
            # The call itself would wait for some seconds more.
            deadline_ns=deadline_ns - GRACE_NS + int(_BEYOND_S * 1e9),
        )
    except DaemonUnreachableError as error:
        return 1, str(error).encode()
