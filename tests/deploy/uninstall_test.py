"""deploy/uninstall: what it does in which order, and that it does nothing of it on a guess."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import pytest

from chart.kustomization import read
from danm_api import labels
from danm_api.codec.endpoint_slice import MANAGED_BY_LABEL
from danm_api.membership.endpoints import MANAGED_BY, SLICES_MANAGED_BY
from danm_cni import __main__ as danmd
from danm_cni.installation import CONFIG_NAME, EXECUTABLES
from tests.deploy.told_kubectl import World, kubectl_of

_UNINSTALL: Final = Path(__file__).parents[2] / "deploy" / "uninstall"
_CLEANING: Final = "exec -n danm-system"
_CLEANING_LINKS: Final = "exec -n danm-system danm-netwatcher"
_ALL_THE_REST: Final = "delete -k"
_ITS_END: Final = "wait namespace/danm-system --for=delete"
_SLICES: Final = f"delete endpointslices -A -l {MANAGED_BY_LABEL}={SLICES_MANAGED_BY}"
_ENDPOINTS: Final = f"delete endpoints -A -l {labels.MANAGED_BY}={MANAGED_BY}"
_KINDS: Final = ("danmeps", "danmipblocks", "danmnets", "danmnodes")
# In this order.
_STEPS: Final = [
    "get danmeps",
    "get danmipblocks",
    "delete danmnets -A --all",
    "wait danmnets -A --all --for=delete",
    "delete daemonset danm-cni",
    "exec -n danm-system danm-cni-n1",
    _CLEANING_LINKS,
    "delete clusterrolebinding danm-ipam danm-validator danm-svcwatcher",
    "delete deployment danm-ipam danm-validator danm-svcwatcher",
    _SLICES,
    _ENDPOINTS,
    "patch danmipblocks",
    "patch danmnets",
    _ALL_THE_REST,
    _ITS_END,
]


def _named(namespace: str, name: str, **fields: object) -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name}, "spec": fields}


def _kept(namespace: str, name: str, **fields: object) -> dict[str, Any]:
    raw = _named(namespace, name, **fields)
    raw["metadata"]["finalizers"] = ["danm.k8s.io/some"]
    return raw


def _pod(name: str, node: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"nodeName": node} if node else {}}


def _node(name: str, *, ready: str = "True") -> dict[str, Any]:
    conditions = [{"type": "DiskPressure", "status": "False"}, {"type": "Ready", "status": ready}]
    return {"metadata": {"name": name}, "status": {"conditions": conditions}}


def _world(*, nodes: int = 2, **more: object) -> World:
    """Return a cluster with DANM that nobody uses; a DanmNet and a block with an old address."""
    names = [f"n{number + 1}" for number in range(nodes)]
    cooling = json.dumps({"ip": "10.0.0.1"})
    world = {
        "crds": [f"{kind}.danm.k8s.io" for kind in _KINDS],
        "objects": {
            "danmeps": [],
            "danmipblocks": [_kept("vnf", "lan-0", entries=[cooling])],
            "danmnets": [_kept("vnf", "lan")],
            "danmnodes": [_node(name) for name in names],
        },
        "nodes": [_node(name) for name in names],
        "pods": {
            part: [_pod(f"{part}-{name}", name) for name in names]
            for part in ("danm-cni", "danm-netwatcher")
        },
    }
    return world | more


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """How a run of deploy/uninstall ended."""

    status: int
    said: str
    complained: str
    calls: list[str]
    objects: dict[str, list[dict[str, Any]]]

    def has_called(self, beginning: str) -> bool:
        """Say whether a command of this beginning was run."""
        return any(call.startswith(beginning) for call in self.calls)


def _run(directory: Path, world: World, *arguments: str) -> _Ended:
    file = directory / "world.json"
    environment = {
        "KUBECTL": kubectl_of(file, world),
        "PATH": os.environ["PATH"],
        "TMPDIR": str(directory),
    }
    done = subprocess.run(
        [str(_UNINSTALL), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    # Whatever happens, its own files are gone.
    assert [file] == list(directory.iterdir())
    after = json.loads(file.read_text())
    return _Ended(
        status=done.returncode,
        said=done.stdout,
        complained=done.stderr,
        calls=after["calls"],
        objects=after["objects"],
    )


def test_all_goes_in_an_order_that_nothing_comes_back_in(tmp_path: Path) -> None:
    """Who uses it, the networks, who installs, nodes, who writes, their objects, the rest."""
    done = _run(tmp_path, _world())
    assert done.status == 0, done.complained
    assert done.said.splitlines()[-1] == "==> DANM is removed."
    found = [next(i for i, c in enumerate(done.calls) if c.startswith(step)) for step in _STEPS]
    assert sorted(found) == found
    # Its Pods are still needed, and those of Deployments must have ended.
    assert "--cascade=orphan" in done.calls[found[_STEPS.index("delete daemonset danm-cni")]]
    assert "--cascade=foreground" in done.calls[found[_STEPS.index(_SLICES) - 1]]
    assert not any(raw["metadata"].get("finalizers") for raw in done.objects["danmipblocks"])


def test_nothing_is_there_to_remove(tmp_path: Path) -> None:
    """It may be run again, whatever an earlier run has removed."""
    done = _run(tmp_path, {"crds": [], "objects": {}, "pods": {}})
    assert (done.status, done.complained) == (0, "")
    assert not done.has_called("get danm")
    assert done.has_called(_ALL_THE_REST)


@pytest.mark.parametrize(
    ("command", "then_not"),
    [
        ("get crd danmeps", "delete"),
        ("get danmeps", "delete"),
        ("get crd danmipblocks", "delete"),
        ("get danmipblocks", "delete"),
        ("get crd danmnets", "delete"),
        ("delete danmnets", "delete daemonset"),
        ("wait danmnets", "delete daemonset"),
        ("delete daemonset", "exec"),
        ("get crd danmnodes", "exec"),
        ("get danmnodes", "exec"),
        ("get nodes", "exec"),
        ("get pods -n danm-system -l app.kubernetes.io/name=danm-cni", "exec"),
        ("get pods -n danm-system -l app.kubernetes.io/name=danm-netwatcher", "delete deployment"),
        ("delete clusterrolebinding", "delete endpointslices"),
        ("delete endpointslices", _ALL_THE_REST),
        ("delete endpoints -A", _ALL_THE_REST),
    ],
)
def test_a_server_that_does_not_answer_once_stops_it(
    tmp_path: Path, command: str, then_not: str
) -> None:
    """Not to know whether somebody uses DANM is not to know that nobody does."""
    done = _run(tmp_path, _world(fails={command: 1}))
    assert done.status != 0
    assert "timeout" in done.complained
    assert not done.has_called(then_not)
    assert not done.has_called(_ALL_THE_REST)
    assert "removed" not in done.said


@pytest.mark.parametrize("command", ["get danmeps", "get danmipblocks"])
def test_force_is_no_guess_either(tmp_path: Path, command: str) -> None:
    """--force is for Pods that use DANM, not for a server that does not answer."""
    done = _run(tmp_path, _world(fails={command: 1}), "--force")
    assert done.status != 0
    assert not done.has_called("delete")


_ENTRY: Final = json.dumps({"ip": "10.0.0.2", "owner": {"name": "outside", "x": "\\n"}}).replace(
    ": ", ":"
)


@pytest.mark.parametrize(
    ("kind", "raw", "user"),
    [
        ("danmeps", _named("vnf", "ep", Pod="worker"), "vnf/worker"),
        ("danmipblocks", _kept("vnf", "lan-1", entries=[_ENTRY]), "vnf/outside"),
    ],
)
def test_users_are_named_and_kept(
    tmp_path: Path, kind: str, raw: dict[str, Any], user: str
) -> None:
    """Nothing is removed under them without --force."""
    world = _world()
    world["objects"][kind].append(raw)
    done = _run(tmp_path, world)
    assert done.status == 1
    assert user in done.complained.splitlines()
    assert not done.has_called("delete")
    forced = _run(tmp_path, world, "--force")
    assert forced.status == 0, forced.complained
    # Their links stay, and they are not waited for.
    assert forced.has_called("exec -n danm-system danm-cni-n1 -- /app/bin/python -s -m danm_cni")
    assert any(call.endswith("uninstall-node --force") for call in forced.calls)
    assert not forced.has_called(_CLEANING_LINKS)
    assert not forced.has_called("wait danmnets")
    assert forced.has_called(_ALL_THE_REST)


def test_a_node_that_refuses_stops_it(tmp_path: Path) -> None:
    """A Pod that has come since it was looked keeps its links, the record, and DANM."""
    said = "Pod vnf/late uses DanmNet lan as eth1\n"
    done = _run(
        tmp_path, _world(execs={"danm-cni-n2": [danmd.InUseError.exit_code, said]}, nodes=3)
    )
    assert done.status != 0
    assert said in done.said
    assert done.complained.splitlines()[-1] == "n2"
    for step in (_CLEANING_LINKS, "delete clusterrolebinding", "delete deployment", _ALL_THE_REST):
        assert not done.has_called(step)


def test_a_node_that_cannot_be_cleaned_is_named_with_its_files(tmp_path: Path) -> None:
    """The others are cleaned and the rest is removed; who asks is told what is left, last."""
    away = "error: unable to upgrade connection\n"
    execs = {f"{part}-n2": [1, away] for part in ("danm-cni", "danm-netwatcher")}
    done = _run(tmp_path, _world(execs=execs, nodes=3))
    assert done.status != 0
    assert "DANM is removed." not in done.said
    assert done.has_called(_ALL_THE_REST)
    assert away in done.said
    _, _, told = done.complained.partition("still have DANM:\n")
    assert told.startswith("    n2\nThey")
    defaults = {each.name: each.default for each in danmd.main.params if each.name}
    files = [f"{defaults['cni_conf_dir']}/{CONFIG_NAME}"]
    files += [f"{defaults['cni_bin_dir']}/{name}" for name in EXECUTABLES]
    files += [str(defaults["state_dir"]), str(defaults["run_dir"])]
    assert f"rm -rf {' '.join(files)}\n" in told
    assert told.endswith("(ip -o link | grep 'alias danm:'):\n    n2\n")


def test_a_node_that_danm_has_left_is_named_too(tmp_path: Path) -> None:
    """Its Pod may be Pending, or not wanted there any more: it has DANM's configuration still."""
    world = _world(nodes=3)
    for pods in world["pods"].values():
        pods[1]["spec"] = {}
        del pods[2]
    done = _run(tmp_path, world)
    assert done.status != 0
    assert "DANM is removed." not in done.said
    assert done.has_called(_ALL_THE_REST)
    for part in ("danm-cni", "danm-netwatcher"):
        for node in ("n2", "n3"):
            assert f"==> {node}: no Pod of {part} is there that could clean it\n" in done.said
    assert "still have DANM:\n    n2\n    n3\n" in done.complained
    assert done.complained.endswith("(ip -o link | grep 'alias danm:'):\n    n2\n    n3\n")


def test_a_node_that_is_no_more_is_not_asked_for(tmp_path: Path) -> None:
    """Its DanmNode, or its Pod, may outlive it for a while: nobody can clean it."""
    world = _world()
    world["objects"]["danmnodes"].append(_node("gone"))
    world["pods"]["danm-cni"].append(_pod("danm-cni-gone", "gone"))
    world["execs"] = {"danm-cni-gone": [1, "not found\n"]}
    done = _run(tmp_path, world)
    assert done.status == 0, done.complained


def test_without_netwatcher_the_nodes_of_pods_count(tmp_path: Path) -> None:
    """deploy/ipam-only has none, and so no DanmNodes."""
    world = _world(execs={"danm-cni-n1": [1, ""]})
    world["objects"]["danmnodes"] = []
    world["pods"]["danm-netwatcher"] = []
    done = _run(tmp_path, world)
    assert done.status != 0
    assert "still have DANM:\n    n1\n" in done.complained


def test_what_addresses_alone_have_of_their_own_goes_too(tmp_path: Path) -> None:
    """It is not in deploy/, which is removed as a whole."""
    deploy = _UNINSTALL.parent
    whole, alone = (
        {source.identity for source in read(deploy, part).sources} for part in (".", "ipam-only")
    )
    done = _run(tmp_path, _world())
    deleted = [call.split()[1:3] for call in done.calls if call.startswith("delete")]
    assert alone - whole
    for kind, name in alone - whole:
        assert any(kind.lower() in kinds.split(",") and name == n for kinds, n in deleted), name


def test_what_is_left_is_told_also_where_it_stops_later(tmp_path: Path) -> None:
    """Its Pods may be gone by then, and nobody would know of these nodes any more."""
    world = _world(execs={"danm-cni-n1": [1, ""]}, fails={_ALL_THE_REST: 1})
    done = _run(tmp_path, world)
    assert done.status != 0
    assert "still have DANM:\n    n1\n" in done.complained


def test_one_pod_of_a_node_is_enough(tmp_path: Path) -> None:
    """During an update it has two, one that has failed may lie about, and some have no node yet."""
    world = _world(execs={"danm-cni-old": [1, "no container\n"]})
    world["pods"]["danm-cni"] += [_pod("danm-cni-old", "n1"), _pod("danm-cni-pending", "")]
    done = _run(tmp_path, world)
    assert done.status == 0, done.complained
    assert not done.has_called("exec -n danm-system danm-cni-pending")


def test_nodes_are_cleaned_beside_each_other(tmp_path: Path) -> None:
    """One after the other a large cluster would take hours."""
    done = _run(tmp_path, _world(nodes=10, meet=10))
    assert done.status == 0, done.complained


def test_an_object_that_goes_by_itself_stops_nothing(tmp_path: Path) -> None:
    """Between looking and removing its finalizer somebody else may have removed it."""
    world = _world(vanishing=["lan-7"])
    world["objects"]["danmipblocks"] += [_kept("vnf", f"lan-{i}") for i in range(1, 10)]
    done = _run(tmp_path, world, "--force")
    assert done.status == 0, done.complained
    blocks = done.objects["danmipblocks"]
    assert len(blocks) == 9
    assert not any("finalizers" in raw["metadata"] for raw in blocks)


def test_a_patch_that_fails_once_is_done_again(tmp_path: Path) -> None:
    """The definition could not go while an object is held."""
    done = _run(tmp_path, _world(fails={"patch danmipblocks": 1}))
    assert done.status == 0, done.complained
    assert not any("finalizers" in raw["metadata"] for raw in done.objects["danmipblocks"])


def test_objects_that_cannot_be_freed_stop_it(tmp_path: Path) -> None:
    """Without them freed the definitions' removal would hang, and nobody would know why."""
    done = _run(tmp_path, _world(fails={"patch danmipblocks": 100}))
    assert done.status != 0
    assert "timeout" in done.complained
    assert not done.has_called(_ALL_THE_REST)


def test_many_objects_take_few_commands(tmp_path: Path) -> None:
    """A kubectl for each of 40,000 objects would take hours; what has no finalizer takes none."""
    world = _world()
    kept = [_kept(f"ns{i % 2}", f"lan-{i}") for i in range(900)]
    world["objects"] = {
        "danmipblocks": kept,
        "danmeps": [_named("vnf", f"ep-{i}", Pod="p") for i in range(900)],
    }
    done = _run(tmp_path, world, "--force")
    assert done.status == 0, done.complained
    assert sum(call.startswith("patch") for call in done.calls) <= 6
    assert not any("finalizers" in raw["metadata"] for raw in done.objects["danmipblocks"])


def _held(*, nodes: int = 2, **more: object) -> World:
    """Return a world whose namespace outlives all that is waited for it."""
    return _world(nodes=nodes, namespaces=["danm-system"], fails={_ITS_END: 1}, **more)


@pytest.mark.parametrize("ready", ["False", "Unknown"])
def test_a_node_whose_pods_do_not_end_is_named_with_the_way_out(tmp_path: Path, ready: str) -> None:
    """Nobody tells the API server of their end; all but the namespace is gone all the same."""
    world = _held(nodes=3)
    world["nodes"][1] = _node("n2", ready=ready)
    world["pods"] = {
        "danm-cni": [_pod("danm-cni-n2", "n2"), _pod("pending", "")],
        "danm-netwatcher": [_pod("danm-netwatcher-n2", "n2"), _pod("danm-netwatcher-n3", "n3")],
    }
    done = _run(tmp_path, world)
    assert done.status == 1
    assert "DANM is removed" not in done.said + done.complained
    told = done.complained.splitlines()
    first = told.index("    n2 (NotReady): danm-cni-n2 danm-netwatcher-n2")
    assert told[first + 1] == "    n3 (Ready): danm-netwatcher-n3"
    assert "danm-system" in told[first - 1]
    assert "    kubectl delete node NODE" in told[first + 1 :]
    assert any("spec.nodeName=NODE --force" in line for line in told[first + 1 :])
    # The definitions had to go before: those do not wait for a node.
    (waited,) = (call for call in done.calls if call.startswith(_ALL_THE_REST) and "crds" in call)
    asked, last = (
        next(i for i, c in enumerate(done.calls) if c.startswith(step))
        for step in (_ALL_THE_REST, _ITS_END)
    )
    assert "--wait=false" in done.calls[asked]
    assert asked < done.calls.index(waited) < last


def test_nodes_with_files_are_told_beside_those_that_hold_the_namespace(tmp_path: Path) -> None:
    """Whoever gives up a node for lost, and has it back later, finds DANM's configuration on it."""
    world = _held(execs={"danm-cni-n2": [1, "connection refused\n"]})
    world["nodes"][1] = _node("n2", ready="Unknown")
    done = _run(tmp_path, world)
    assert done.status == 1
    assert "still have DANM:\n    n2\n" in done.complained
    assert "    n2 (NotReady): danm-cni-n2 " in done.complained


def test_a_namespace_that_stays_for_another_reason_is_told(tmp_path: Path) -> None:
    """An API service that does not answer holds it too, for one."""
    world = _held()
    world["pods"] = {"danm-cni": [], "danm-netwatcher": []}
    world["objects"]["danmnodes"] = []
    done = _run(tmp_path, world)
    assert done.status == 1
    assert "DANM is removed" not in done.said + done.complained
    assert "kubectl get namespace danm-system" in done.complained
    assert "NotReady" not in done.complained


@pytest.mark.parametrize(
    "silent",
    [
        "get namespace danm-system",
        "get pods -n danm-system -o",
        "get nodes -o jsonpath={range .items[*]}{.metadata.name}{range .status.conditions",
    ],
)
def test_who_does_not_know_what_holds_the_namespace_says_so(tmp_path: Path, silent: str) -> None:
    """It names no node by a guess."""
    world = _held()
    world["fails"][silent] = 1
    done = _run(tmp_path, world)
    assert done.status == 1
    assert "Nobody knows" in done.complained
    assert "DANM is removed" not in done.said


def test_a_namespace_that_has_gone_meanwhile_holds_nothing(tmp_path: Path) -> None:
    """What counts is what is there, not how the waiting ended."""
    done = _run(tmp_path, _world(fails={_ITS_END: 1}))
    assert done.status == 0, done.complained
    assert done.said.splitlines()[-1] == "==> DANM is removed."


@pytest.mark.parametrize("argument", ["--help", "--froce"])
def test_anything_else_is_explained(tmp_path: Path, argument: str) -> None:
    """A misspelt option removes nothing."""
    done = _run(tmp_path, _world(), argument)
    assert done.status == 2
    assert "deploy/uninstall [--force]" in done.complained
    assert "KUBECTL" in done.complained
    assert done.calls == []


def test_every_option_of_danmd_that_moves_its_files_is_told() -> None:
    """The files that are named are those of danmd's defaults."""
    names = {each.name for each in danmd.main.params if isinstance(each, click.Option)}
    assert {"cni_conf_dir", "cni_bin_dir"} <= names
    text = _UNINSTALL.read_text()
    assert "--cni-conf-dir" in text
    assert "--cni-bin-dir" in text
