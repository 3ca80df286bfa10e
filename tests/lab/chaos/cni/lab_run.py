"""`lab chaos cni`: Pods come and go while everything around their networks breaks."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from danm_api.names import SYSTEM_NAMESPACE
from tests.lab.chaos.cni.facts import World
from tests.lab.chaos.cni.lab_churn import Churn
from tests.lab.chaos.cni.lab_node import LabNode, eventually, trap_patch
from tests.lab.chaos.cni.lab_plan import Kind, PlannedFault, round_plan
from tests.lab.chaos.cni.lab_world import (
    NAMESPACE,
    NETWORKS,
    SHAPES,
    lab_world,
    network_object,
    own_links_of,
    pod_object,
)
from tests.lab.chaos.cni.model import differences
from tests.lab.cluster import Cluster, objects
from tests.lab.errors import LabError

# All traps of a node are met by then: some thirty, of which a third kill danmd.
_TRAPS_S: Final = 1500.0
_WHOLE_S: Final = 420.0
_RUNNING_S: Final = 420.0
_GONE_S: Final = 240.0
# P2 says 30 s from the moment that something can be known to be dead; a runtime's own tries, an
# emulated node's pace and this look at it are beside that.
GRACE_S: Final = 120.0
_POLL_S: Final = 2.0
_KILL_SANDBOX_EVERY_S: Final = 15.0
_DNS: Final = "deployment/coredns"
_DNS_NAMESPACE: Final = "kube-system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a round has shown.

    Attributes:
        pods: How many were made.
        strikes: How many each fault has met, by its kind: processes, or the node itself.
        running_s: How long after the last fault and the last change all Pods ran.
        right_s: How long after the same nothing differed; the grace is in it where something did.
        emptied_s: How long after the removal of all Pods nothing was left; 0 where that was not
            looked at.
        kept: Where the worlds with differences are written down.
    """

    seed: int
    seconds: float
    pods: int
    traps: int
    strikes: Mapping[Kind, Sequence[int]]
    running_s: float
    right_s: float
    emptied_s: float
    differences: tuple[str, ...]
    kept: Path | None

    @property
    def faults(self) -> int:
        """How many there were beside the traps."""
        return sum(map(len, self.strikes.values()))

    @property
    def idle(self) -> list[Kind]:
        """Kinds of faults that were tried several times and never met anybody."""
        return [kind for kind, met in self.strikes.items() if len(met) > 1 and not any(met)]

    @property
    def good(self) -> bool:
        """Whether nothing differs, and the round has broken what it was to break."""
        return not self.differences and not self.idle

    def told_strikes(self) -> list[str]:
        """Say of each kind of fault how many of them met somebody."""
        return [
            f"{kind}: {sum(map(bool, met))} of {len(met)} strikes met somebody"
            for kind, met in self.strikes.items()
        ]


@dataclass(slots=True, kw_only=True)
class LabChaos:
    """A cluster with DANM on it, and its nodes.

    Attributes:
        image: Of the Pods.
        directory: Where worlds that differ are written down.
        without: Kinds of faults that are left out.
        grace_s: How long after the last fault something may be other than it must.
    """

    cluster: Cluster
    nodes: Sequence[LabNode]
    image: str
    directory: Path
    without: Sequence[Kind] = ()
    grace_s: float = GRACE_S

    def prepare(self) -> None:
        """Have danmd with traps, the networks, and know what nodes have without Pods.

        Raises:
            LabError: Something did not become ready.
        """
        for node in self.nodes:
            node.install(())
        patch = json.dumps(trap_patch())
        daemon_set = ("daemonset", "danm-cni", "-n", SYSTEM_NAMESPACE)
        self.cluster.kubectl("patch", *daemon_set, "--type=strategic", "-p", patch)
        self._whole()
        self._replace_dns()
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        self._apply(namespace, *(network_object(name) for name in NETWORKS))
        for node in self.nodes:
            for shape in SHAPES:
                name = f"first-{node.name}-{shape}"
                self._apply(pod_object(name, node=node.name, shape=shape, image=self.image))
        self._all_running()
        # The links that netwatcher makes for networks are there now.
        self._remove_pods()

    def round(self, seed: int) -> Result:
        """Play one round.

        Raises:
            LabError: The lab, a node or a Pod did not come back, or a trap was not met.
        """
        began = time.monotonic()
        plan = round_plan(seed, nodes=len(self.nodes), without=self.without)
        for node, traps in zip(self.nodes, plan.traps, strict=True):
            node.own_links = own_links_of(node.look())
            node.install(traps)
        churns = [
            Churn(cluster=self.cluster, node=node.name, image=self.image, seed=seed)
            for node in self.nodes
        ]
        with ThreadPoolExecutor() as pool:
            churning = [pool.submit(churn.run) for churn in churns]
            try:
                breaking = pool.submit(self.strike, plan.faults)
                meeting = [pool.submit(self._meet, node) for node in self.nodes]
                strikes = breaking.result()
                for future in meeting:
                    future.result()
            finally:
                for churn in churns:
                    churn.stop()
            for future in churning:
                future.result()
        over = time.monotonic()
        self._whole()
        self._all_running()
        running_s = time.monotonic() - over
        found = self._compare(f"round-{seed}-living")
        right_s = time.monotonic() - over
        emptied_s = 0.0
        if not found:
            removed = time.monotonic()
            self._remove_pods()
            found = self._compare(f"round-{seed}-empty")
            emptied_s = time.monotonic() - removed
        return Result(
            seed=seed,
            seconds=time.monotonic() - began,
            pods=sum(churn.made for churn in churns),
            traps=sum(len(traps) for traps in plan.traps),
            strikes=strikes,
            running_s=running_s,
            right_s=right_s,
            emptied_s=emptied_s,
            differences=tuple(found),
            kept=self.directory if found else None,
        )

    def strike(self, faults: Sequence[PlannedFault]) -> dict[Kind, list[int]]:
        """Do the faults one after the other, each at its time or as soon as the last is over.

        Returns:
            How many each has met, by its kind.

        Raises:
            LabError: A node did not come back.
        """
        met: dict[Kind, list[int]] = {}
        began = time.monotonic()
        for fault in faults:
            time.sleep(max(0.0, began + fault.at - time.monotonic()))
            if fault.kind is Kind.IPAM:
                struck = self._kill_replicas()
            else:
                node = self.nodes[fault.node]
                node.wait_answering()
                struck = node.suffer(fault)
            met.setdefault(fault.kind, []).append(struck)
        return met

    def _kill_replicas(self) -> int:
        """Delete all replicas of ipam-svc by force, and return how many there were."""
        selector = "app.kubernetes.io/name=danm-ipam"
        told = self.cluster.kubectl(
            *("delete", "pod", "-n", SYSTEM_NAMESPACE, "-l", selector),
            *("--grace-period=0", "--force", "--wait=false"),
        )
        return sum("deleted" in line for line in told.splitlines())

    def _meet(self, node: LabNode) -> None:
        """Wait until all traps of a node were met; give Pods new sandboxes where that is needed."""
        struck = 0.0

        def all_met() -> bool:
            nonlocal struck
            following = node.next_trap()
            now = time.monotonic()
            needs = following is not None and following.needs_new_sandbox
            if needs and now > struck + _KILL_SANDBOX_EVERY_S:
                struck = now
                node.kill_sandbox(str(now))
            return following is None

        try:
            eventually(all_met, f"All traps of {node.name} are met", _TRAPS_S)
        except LabError as error:
            raise LabError(f"{error}; the next one is {node.next_trap()}") from error

    # The lab

    def _replace_dns(self) -> None:
        """Have no Pod's sandbox from before the installation.

        A node that the lab boots keeps host-local's files, but not its runtime's knowledge of
        sandboxes: of one that danmd does not know nobody would ever ask for the DEL.
        """
        self.cluster.kubectl("rollout", "restart", _DNS, "-n", _DNS_NAMESPACE)
        rolled_out = partial(self._is_rolled_out, _DNS, namespace=_DNS_NAMESPACE)
        eventually(rolled_out, f"{_DNS} is ready again", _WHOLE_S)

    def _apply(self, *documents: Mapping[str, Any]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
        self.cluster.kubectl("apply", "-f", "-", stdin=text)

    def _whole(self) -> None:
        """Wait until nodes and DANM are whole."""
        eventually(self._nodes_are_ready, "The nodes are Ready", _WHOLE_S)
        for workload in ("daemonset/danm-cni", "deployment/danm-ipam", "daemonset/danm-netwatcher"):
            eventually(partial(self._is_rolled_out, workload), f"{workload} is ready", _WHOLE_S)

    def _nodes_are_ready(self) -> bool:
        conditions = [
            condition
            for node in objects(self.cluster, "nodes")
            for condition in node["status"]["conditions"]
            if condition["type"] == "Ready"
        ]
        return [each["status"] for each in conditions] == ["True"] * len(self.nodes)

    def _is_rolled_out(self, workload: str, *, namespace: str = SYSTEM_NAMESPACE) -> bool:
        self.cluster.kubectl("rollout", "status", workload, "-n", namespace, "--timeout=5s")
        return True

    def _pods(self) -> list[dict[str, Any]]:
        return objects(self.cluster, "pods", "-n", NAMESPACE)

    def _all_running(self) -> None:
        """Wait until every Pod runs and none is on its way out."""

        def are_running() -> bool:
            pods = self._pods()
            return all(
                pod["status"].get("phase") == "Running"
                and "deletionTimestamp" not in pod["metadata"]
                and all(each["ready"] for each in pod["status"].get("containerStatuses", ()))
                for pod in pods
            )

        eventually(are_running, "All Pods run", _RUNNING_S)

    def _remove_pods(self) -> None:
        self.cluster.kubectl("delete", "pods", "--all", "-n", NAMESPACE, "--wait=false")
        eventually(lambda: not self._pods(), "All Pods are gone", _GONE_S)

    def world(self) -> World:
        """Return everything as it is now."""
        return lab_world(
            pods=objects(self.cluster, "pods", "-A"),
            endpoints=objects(self.cluster, "danmeps", "-n", NAMESPACE),
            blocks=objects(self.cluster, "danmipblocks", "-n", NAMESPACE),
            nodes=[node.look() for node in self.nodes],
            own_links={node.name: node.own_links for node in self.nodes},
        )

    def _compare(self, moment: str) -> list[str]:
        """Look until nothing is other than it must, or the grace is over; keep such a world."""
        deadline = time.monotonic() + self.grace_s
        while True:
            try:
                world = self.world()
                found = [str(each) for each in differences(world)]
            except (LabError, OSError) as error:
                world, found = None, [f"nobody could look: {error}"]
            if not found:
                return []
            if time.monotonic() > deadline:
                text = "\n".join([*found, "", repr(world)])
                (self.directory / f"{moment}.txt").write_text(text)
                return found
            time.sleep(_POLL_S)


def run_lab_chaos(
    chaos: LabChaos, *, seed: int, rounds: int, tell: Callable[[Result], None]
) -> bool:
    """Play rounds; return whether all was right. A round that is not good is the last one.

    Raises:
        LabError: The run itself failed.
    """
    chaos.prepare()
    for number in range(rounds):
        result = chaos.round(seed + number)
        tell(result)
        if not result.good:
            return False
    return True
