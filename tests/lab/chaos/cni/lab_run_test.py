"""Rounds on a cluster in memory: a good one passes, and one whose node keeps something does not."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Interface
from pathlib import Path
from typing import Any

import msgspec
import pytest

from danm_api.codec.danmep import encode_danmep
from danm_api.codec.ip_block import encode_ip_block
from danm_api.testing.builders import a_block, a_danmep, a_held_entry, a_pod_owner
from tests.lab.agent_client import Completed
from tests.lab.chaos.cni.facts import Link, Netns, NodeView, Route, Rule
from tests.lab.chaos.cni.lab_node import LabNode
from tests.lab.chaos.cni.lab_plan import Kind, PlannedFault
from tests.lab.chaos.cni.lab_run import LabChaos, Result, run_lab_chaos
from tests.lab.chaos.cni.lab_world import NAMESPACE, SHAPES

# No faults but traps: the times of a plan are real.
WITHOUT = list(Kind)


@dataclass(slots=True, kw_only=True)
class FakeLab:
    """An API server, and nodes that do at once what they must.

    Attributes:
        keeps: Nodes keep the namespaces of Pods that are gone.
    """

    keeps: bool = False
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    gone: list[dict[str, Any]] = field(default_factory=list)
    networks: set[str] = field(default_factory=set)
    patched: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last: int = 0

    def kubectl_command(self, *arguments: str) -> list[str]:
        """Have no such program."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Have none."""
        return {}

    def kubectl(self, *arguments: str, stdin: str = "", timeout_s: float = 120.0) -> str:
        """Do what the run asks for."""
        del timeout_s
        with self._lock:
            match arguments:
                case ("apply", *_):
                    document = json.loads(stdin)
                    for each in document.get("items", [document]):
                        self._apply(each)
                case ("delete", "pod", name, "-n", namespace, *_) if namespace == NAMESPACE:
                    self._delete(name)
                case ("delete", "pods", "--all", *_):
                    for name in list(self.pods):
                        self._delete(name)
                case ("delete", "pod", "-n", _, "-l", _, *_):
                    # As kubectl tells it.
                    return 'pod "danm-ipam-1" force deleted\npod "danm-ipam-2" force deleted\n'
                case ("patch", *_):
                    self.patched.append(arguments[1])
                case ("get", kind, *_):
                    return json.dumps({"kind": "List", "items": self._found(kind)})
        return ""

    def _apply(self, raw: dict[str, Any]) -> None:
        meta = raw["metadata"]
        if raw["kind"] == "DanmNet":
            self.networks.add(meta["name"])
        if raw["kind"] != "Pod":
            return
        self._last += 1
        meta["uid"] = f"uid-{self._last}"
        raw["number"] = self._last
        raw["status"] = {"phase": "Running", "containerStatuses": [{"ready": True}]}
        told = [
            {
                "interface": each.name,
                "ips": [text.partition("/")[0] for text in addresses(raw, each.name)],
            }
            for each in SHAPES[meta["labels"]["chaos-shape"]]
        ]
        meta["annotations"]["k8s.v1.cni.cncf.io/network-status"] = json.dumps(told)
        self.pods[meta["name"]] = raw

    def _delete(self, name: str) -> None:
        pod = self.pods.pop(name, None)
        if pod is not None:
            self.gone.append(pod)

    def _found(self, kind: str) -> list[dict[str, Any]]:
        if kind == "nodes":
            ready = {"conditions": [{"type": "Ready", "status": "True"}]}
            return [{"status": ready}, {"status": ready}]
        if kind == "pods":
            return list(self.pods.values())
        if kind == "danmeps":
            return [each for pod in self.pods.values() for each in endpoints(pod)]
        return blocks(list(self.pods.values()))

    def view(self, node: str) -> NodeView:
        """Return what a node has."""
        with self._lock:
            living = [each for each in self.pods.values() if each["spec"]["nodeName"] == node]
            dead = [each for each in self.gone if each["spec"]["nodeName"] == node]
        there = [*living, *(dead if self.keeps else [])]
        ports = [pod for pod in living if SHAPES[shape_of(pod)][0].bridge]
        return NodeView(
            node=node,
            host=Netns(
                links=(
                    Link(name="eth0"),
                    Link(name="cbr0", kind="bridge"),
                    *(Link(name=f"v{pod['number']}", kind="veth", bridge="cbr0") for pod in ports),
                )
            ),
            namespaces={f"/{pod['number']}": netns(pod) for pod in there},
            journal={f"{pod['number']}.json": record(pod) for pod in living},
            host_local={f"cbr0/{pod['number']}": f"c{pod['number']}\neth0" for pod in ports},
        )


def shape_of(pod: dict[str, Any]) -> str:
    """Return which shape a Pod has."""
    return str(pod["metadata"]["labels"]["chaos-shape"])


def addresses(pod: dict[str, Any], interface: str) -> list[str]:
    """Return what an interface of a Pod has: each another one."""
    position = [each.name for each in SHAPES[shape_of(pod)]].index(interface)
    wanted = SHAPES[shape_of(pod)][position]
    last = pod["number"]
    forms = {
        4: f"10.9{position}.{last // 250}.{last % 250}/16",
        6: f"2001:db8:{position + 1}::{last:x}/64",
    }
    return [forms[family] for family in wanted.families]


def netns(pod: dict[str, Any]) -> Netns:
    """Return what the namespace of a Pod has."""
    wanted = SHAPES[shape_of(pod)]
    return Netns(
        links=tuple(
            Link(name=each.name, addresses=tuple(addresses(pod, each.name))) for each in wanted
        ),
        routes=tuple(
            Route(destination=to, gateway=gateway, device=each.name, table=table)
            for each in wanted
            for to, gateway, table in each.routes
        ),
        rules=tuple(
            Rule(source=text.partition("/")[0], table=table)
            for each in wanted
            for table in each.tables
            for text in addresses(pod, each.name)
        ),
    )


def record(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the journal record of a Pod."""
    return {
        "container_id": f"c{pod['number']}",
        "pod": pod["metadata"]["name"],
        "pod_uid": pod["metadata"]["uid"],
        "netns": f"/{pod['number']}",
        "state": "added",
        "interfaces": [{"interface": each.name} for each in SHAPES[shape_of(pod)]],
    }


def endpoints(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the DanmEps of a Pod."""
    found = []
    for each in SHAPES[shape_of(pod)]:
        texts = addresses(pod, each.name)
        six = next((IPv6Interface(text) for text in texts if ":" in text), None)
        endpoint = a_danmep(
            f"ep-{pod['number']}-{each.name}",
            namespace=NAMESPACE,
            network=each.network,
            pod=pod["metadata"]["name"],
            pod_uid=pod["metadata"]["uid"],
            container_id=f"c{pod['number']}",
            interface=each.name,
            address=texts[0],
            node=pod["spec"]["nodeName"],
        )
        full = replace(endpoint, interface=replace(endpoint.interface, address_ipv6=six))
        if each.network:
            found.append(encode_danmep(full))
    return found


def blocks(pods: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return blocks with the addresses of Pods."""
    return [
        encode_ip_block(
            a_block(
                text.partition("/")[0],
                a_held_entry(
                    text.partition("/")[0],
                    owner=a_pod_owner(
                        pod["metadata"]["name"],
                        namespace=NAMESPACE,
                        uid=pod["metadata"]["uid"],
                        interface=each.name,
                    ),
                    node=pod["spec"]["nodeName"],
                ),
                namespace=NAMESPACE,
                network=each.network,
            )
        )
        for pod in pods
        for each in SHAPES[shape_of(pod)]
        if each.from_ipam
        for text in addresses(pod, each.name)
    ]


@dataclass(slots=True, kw_only=True)
class FakeReach:
    """Reaches a node that meets its traps whenever it is asked.

    Attributes:
        struck: What a strike tells.
    """

    lab: FakeLab
    node: str
    met: int = 0
    struck: bytes = b"1\n"

    def run(self, argv: Sequence[str], *, stdin: bytes, timeout_s: float) -> Completed:
        """Answer what the run asks of a node."""
        del stdin, timeout_s
        answer = b""
        if argv[0] == "sh" and "/met" in argv[-1]:
            self.met += 8
            answer = b"{}\n" * self.met
        elif "kill" in argv:
            answer = self.struck
        elif argv[1] == "-IS" and len(argv) == len(
            ["python", "-IS", "-", "node", "state", "files"]
        ):
            answer = msgspec.json.encode(self.lab.view(self.node))
        return Completed(status=0, stdout=answer, stderr=b"")

    def answers(self) -> bool:
        """Say yes."""
        return True

    def keep(self, archive: bytes) -> None:
        """Have no disk."""
        raise NotImplementedError(archive)

    def set_wire(self, *, whole: bool) -> None:
        """Have no wire."""
        raise NotImplementedError(whole)


def _chaos(lab: FakeLab, directory: Path) -> LabChaos:
    return LabChaos(
        cluster=lab,
        nodes=[LabNode(name=name, reach=FakeReach(lab=lab, node=name)) for name in ("n1", "n2")],
        image="image",
        directory=directory,
        without=WITHOUT,
        grace_s=0.0,
    )


def test_a_good_round(tmp_path: Path) -> None:
    """Pods come and go, all traps are met, and nothing differs; the DaemonSet has the traps."""
    lab, results = FakeLab(), list[Result]()
    assert run_lab_chaos(_chaos(lab, tmp_path), seed=1, rounds=1, tell=results.append)
    (result,) = results
    assert (result.seed, result.differences, result.kept) == (1, (), None)
    assert 0 < result.running_s <= result.right_s < result.seconds
    assert 0 < result.emptied_s < result.seconds
    assert result.pods > 0
    assert result.traps > len(WITHOUT)
    assert ["daemonset"] == lab.patched
    assert {} == lab.pods
    assert {"vlan", "ext", "mac", "mgmt"} == lab.networks


def test_a_round_with_something_left(tmp_path: Path) -> None:
    """What a node keeps of Pods that are gone is named, the world is kept, and the run ends."""
    lab, results = FakeLab(keeps=True), list[Result]()
    assert not run_lab_chaos(_chaos(lab, tmp_path), seed=1, rounds=3, tell=results.append)
    (result,) = results
    assert any("of no Pod that lives: interface eth0" in each for each in result.differences)
    assert result.kept == tmp_path
    (kept,) = tmp_path.iterdir()
    assert result.differences[0] in kept.read_text()


def _fault(kind: Kind, node: int = 0) -> PlannedFault:
    return PlannedFault(at=0.0, kind=kind, node=node, duration_s=0.0)


def test_whom_strikes_have_met_is_counted(tmp_path: Path) -> None:
    """By the kind of the fault, in the order of time, whatever node it was on."""
    lab = FakeLab()
    chaos = _chaos(lab, tmp_path)
    chaos.nodes[1].reach = FakeReach(lab=lab, node="n2", struck=b"0\n")
    faults = [_fault(Kind.PLUGINS), _fault(Kind.IPAM), _fault(Kind.PLUGINS, node=1)]
    assert chaos.strike(faults) == {Kind.PLUGINS: [1, 0], Kind.IPAM: [2]}


@pytest.mark.parametrize(
    ("met", "idle"),
    [
        pytest.param([0, 0], True, id="never"),
        pytest.param([0, 2], False, id="once"),
        pytest.param([0], False, id="tried once"),
    ],
)
def test_a_round_whose_faults_met_nobody_is_not_good(met: list[int], idle: bool) -> None:
    """It has not broken what it was to break, so that nothing differs says nothing."""
    result = Result(
        seed=1,
        seconds=1.0,
        pods=1,
        traps=1,
        strikes={Kind.SHIMS: met, Kind.CUT: [1]},
        running_s=0.0,
        right_s=0.0,
        emptied_s=0.0,
        differences=(),
        kept=None,
    )
    assert result.good is not idle
    assert result.idle == [Kind.SHIMS] * idle
    assert result.faults == len(met) + 1
    assert result.told_strikes() == [
        f"executables killed: {sum(map(bool, met))} of {len(met)} strikes met somebody",
        "node cut off: 1 of 1 strikes met somebody",
    ]
