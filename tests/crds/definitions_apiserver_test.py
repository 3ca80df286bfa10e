"""A real API server takes the definitions, and applies them as a user sees it."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from danm_api.codec.danm_node import decode_danm_node, encode_danm_node
from danm_api.codec.danmep import decode_danmep, encode_danmep
from danm_api.codec.danmnet import decode_danmnet, encode_status
from danm_api.codec.ip_block import decode_ip_block, encode_ip_block
from danm_api.model.danm_node import DanmNode, NodeNetwork
from danm_api.model.danmnet import NetworkSpec, UnreadableSpec, Usage
from danm_api.names import Namespace, NetworkName, NodeName
from danm_api.testing.builders import (
    a_block,
    a_danmep,
    a_danmnet,
    a_held_entry,
    a_raw_danmnet,
    accepted,
)
from tests.lab.apiserver import ApiServer
from tests.lab.kubectl import Kubectl
from tests.lab.process import wait_until

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Yield a caller of kubectl on a server that has the definitions and the demo's namespaces."""
    with ApiServer.start(tmp_path_factory.mktemp("server")) as server:
        call = Kubectl.on(server)

        def is_described(kind: str) -> bool:
            return call("explain", kind).returncode == 0

        for arguments in (
            ["apply", "-k", str(REPOSITORY / "deploy" / "crds")],
            ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"],
            ["apply", "-f", str(REPOSITORY / "examples" / "seed-demo" / "namespaces.yaml")],
        ):
            done = call(*arguments)
            assert done.returncode == 0, done.stderr
        # The server serves kinds before it describes them.
        for kind in ("danmnets", "danmeps", "danmipblocks", "danmnodes"):
            wait_until(
                functools.partial(is_described, kind), what=f"{kind} are described", timeout_s=30
            )
        yield call


def _applied(kubectl: Kubectl, raw: object) -> dict[str, Any]:
    done = kubectl("apply", "-o", "json", "-f", "-", stdin=raw)
    assert done.returncode == 0, done.stderr
    stored: dict[str, Any] = msgspec.json.decode(done.stdout)
    return stored


def _row(kubectl: Kubectl, kind: str, name: str, *arguments: str) -> dict[str, str]:
    """Return what a person sees of an object: the cells of its row, by the columns' names."""
    done = kubectl("get", kind, name, *arguments)
    assert done.returncode == 0, done.stderr
    header, row = done.stdout.splitlines()
    columns = list(re.finditer(r"\S+( \S+)* *", header))
    return {each[0].strip(): row[each.start() : each.end()].strip() for each in columns[:-1]} | {
        columns[-1][0].strip(): row[columns[-1].start() :].strip()
    }


def _manifest(name: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401  (any option)
    raw = a_raw_danmnet(name, **options)
    raw["metadata"] = {"namespace": "example-vnf", "name": name}
    return raw


def test_the_demo_s_networks_apply(kubectl: Kubectl) -> None:
    """And are listed under their short name."""  # SPEC A1, A3
    demo = REPOSITORY / "examples" / "seed-demo" / "danmnets.yaml"
    done = kubectl("apply", "-f", str(demo))
    assert done.returncode == 0, done.stderr
    header, *rows = kubectl("get", "dnet", "-A").stdout.splitlines()
    titles = re.split(r"  +", header)
    assert titles[2:] == ["TYPE", "DEVICE", "CIDR", "VALID", "READY NODES", "USED", "FREE", "AGE"]
    assert any(row.split()[:3] == ["example-vnf", "management", "flannel"] for row in rows)


def test_exported_manifests_apply(kubectl: Kubectl) -> None:
    """With the old record, empty values and a mark, though kubectl refuses unknown keys."""
    raw = _manifest(  # SPEC A1, A8
        "exported", alloc="gAAAAA==", cidr="", allocation_pool={"start": "", "end": ""}, routes=None
    )
    raw["spec"]["Validation"] = "True"
    assert isinstance(decode_danmnet(_applied(kubectl, raw)).spec, NetworkSpec)


def test_options_may_be_missing(kubectl: Kubectl) -> None:
    """The server fills in the type."""  # SPEC A1
    raw = _manifest("plain")
    raw["spec"]["Options"] = None
    assert _applied(kubectl, raw)["spec"]["NetworkType"] == "ipvlan"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"vlan": "three"}, "must be of type integer", id="type"),
        pytest.param({"vlan": 4095}, "less than or equal to 4094", id="VID"),
        pytest.param({"vxlan": 16_777_215}, "less than or equal to 16777214", id="VNI"),
        pytest.param({"routes": ["x"]}, "must be of type object", id="map"),
        pytest.param({"fakeipam": "yes"}, "must be of type boolean", id="flag"),
        pytest.param({"cooldown": -1}, "greater than or equal to 0", id="cooldown"),
        pytest.param({"hostdevice": "ens4"}, "unknown field", id="typing error"),
    ],
)
def test_wrong_types_are_refused_at_once(
    kubectl: Kubectl, options: dict[str, Any], message: str
) -> None:
    """The message names the field."""  # SPEC A8
    done = kubectl("apply", "-f", "-", stdin=_manifest("wrong", **options))
    assert done.returncode != 0
    assert f"spec.Options.{next(iter(options))}" in done.stderr
    assert message in done.stderr


def test_what_needs_thought_is_left_to_the_validator(kubectl: Kubectl) -> None:
    """The object is stored, and its verdict becomes a condition."""  # SPEC N1
    stored = _applied(kubectl, _manifest("doubtful", cidr="10.0.0.0/99"))
    assert isinstance(decode_danmnet(stored).spec, UnreadableSpec)


def test_the_status_is_stored_whole(kubectl: Kubectl) -> None:
    """Nothing of it is pruned, not even a count beyond 64 bits."""  # SPEC A4
    _applied(kubectl, _manifest("counted", net6="2001:db8::/48", vxlan=7, exclude=["10.0.0.1"]))
    status = accepted(
        a_danmnet("counted", net6="2001:db8::/48", vxlan=7, exclude=["10.0.0.1"])
    ).status
    usage = Usage(total=2**80, used=1, free=2**80 - 1, ranges="2001:db8::1")
    wire = encode_status(status) | {
        "ipv4": {"total": 3, "used": 1, "free": 2, "ranges": "10.0.0.1"},
        "ipv6": {
            "total": str(usage.total),
            "used": "1",
            "free": str(usage.free),
            "ranges": usage.ranges,
        },
    }
    patch = msgspec.json.encode({"status": wire}).decode()
    arguments = ["dnet", "counted", "-n", "example-vnf", "--subresource=status", "-o", "json"]
    done = kubectl("patch", *arguments, "--type=merge", "-p", patch)
    assert done.returncode == 0, done.stderr
    stored = decode_danmnet(msgspec.json.decode(done.stdout)).status
    assert (stored.applied, stored.conditions) == (status.applied, status.conditions)
    assert (stored.ipv4, stored.ipv6) == (Usage(total=3, used=1, free=2, ranges="10.0.0.1"), usage)


_IPV4: Final = {"total": 254, "used": 12, "free": 242, "ranges": "10.0.0.1-10.0.0.12"}
_IPV6: Final = {"total": "4096", "used": "3", "free": "4093", "ranges": "2001:db8::1-2001:db8::3"}


@pytest.mark.parametrize(
    ("name", "options", "usage", "seen"),
    [
        pytest.param(
            "only4",
            {"cidr": "10.0.0.0/24", "vlan": 7},
            {"ipv4": _IPV4},
            {"CIDR": "10.0.0.0/24", "USED": "12", "FREE": "242", "VLAN": "7"},
            id="IPv4",
        ),
        pytest.param(
            "only6",
            {"net6": "2001:db8::/64", "vxlan": 8},
            {"ipv6": _IPV6},
            {
                "CIDR": "2001:db8::/64", "USED": "3", "FREE": "4093", "VXLAN": "8",
                "NET6": "2001:db8::/64", "USED6": "3", "FREE6": "4093",
            },
            id="IPv6",
        ),
        pytest.param(
            "both",
            {"cidr": "10.0.0.0/24", "net6": "2001:db8::/64"},
            {"ipv4": _IPV4, "ipv6": _IPV6},
            {
                "CIDR": "10.0.0.0/24", "USED": "12", "FREE": "242",
                "NET6": "2001:db8::/64", "USED6": "3", "FREE6": "4093",
            },
            id="both families",
        ),
        pytest.param("none", {}, {}, {}, id="no addresses"),
    ],
)  # fmt: skip
def test_a_row_says_what_whether_and_how_full(
    kubectl: Kubectl,
    name: str,
    options: dict[str, Any],
    usage: dict[str, Any],
    seen: dict[str, str],
) -> None:
    """Of either family, or of IPv4 where there are both; ``-o wide`` tells the rest, and why."""
    # SPEC A3
    stored = _applied(kubectl, _manifest(name, host_device="ens4", **options))
    assert set(_row(kubectl, "dnet", name, "-n", "example-vnf").values()) & {"True"} == set()
    condition = {"type": "Valid", "status": "True", "reason": "Accepted", "message": "It may be."}
    nodes = {"ready": 2, "total": 3, "summary": "2/3", "why": "node-1: no ens4"}
    judged = {"applied": stored["spec"], "conditions": [condition], "nodes": nodes, **usage}
    patch = msgspec.json.encode({"status": judged}).decode()
    done = kubectl(
        "patch", "dnet", name, "-n", "example-vnf", "--subresource=status", "--type=merge",
        "-p", patch,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    row = _row(kubectl, "dnet", name, "-n", "example-vnf")
    wide = _row(kubectl, "dnet", name, "-n", "example-vnf", "-o", "wide")
    shown = {
        "NAME": name,
        "TYPE": "ipvlan",
        "DEVICE": "ens4",
        "VALID": "True",
        "READY NODES": "2/3",
    }
    shown |= {"CIDR": "", "USED": "", "FREE": "", "AGE": row["AGE"]} | seen
    assert row == {key: shown[key] for key in row}
    shown |= {"AGE": wide["AGE"], "WHY": "It may be."}
    assert wide == {"VLAN": "", "VXLAN": "", "NET6": "", "USED6": "", "FREE6": ""} | shown


def test_a_user_cannot_write_the_status(kubectl: Kubectl) -> None:
    """An applied manifest's status is dropped."""  # SPEC A4
    raw = _manifest("forged") | {"status": encode_status(accepted(a_danmnet("forged")).status)}
    assert decode_danmnet(_applied(kubectl, raw)).status.applied is None


def test_a_danmep_is_stored_whole(kubectl: Kubectl) -> None:
    """And is found by its labels."""  # SPEC A2
    ep = a_danmep(app="processor")
    stored = decode_danmep(_applied(kubectl, encode_danmep(ep)))
    assert (stored.interface, stored.pod_labels) == (ep.interface, ep.pod_labels)
    wide = _row(kubectl, "dep", ep.name, "-n", "example-vnf", "-o", "wide")
    assert wide == {
        "NAME": ep.name,
        "NETWORK": ep.network,
        "POD": ep.pod,
        "INTERFACE": ep.interface.name,
        "ADDRESS": str(ep.interface.address),
        "ADDRESSIPV6": "",
        "NODE": ep.node,
        "AGE": wide["AGE"],
        "TYPE": ep.network_type,
        "MAC": "",
        "CONTAINER": ep.container_id,
    }
    selector = "danm.k8s.io/network=internal,danm.k8s.io/pod-uid=pod-uid-1"
    done = kubectl("get", "dep", "-n", "example-vnf", "-l", selector, "-o", "name")
    assert done.stdout.split() == ["danmep.danm.k8s.io/ep-1"]


def test_a_block_keeps_what_a_later_release_wrote(kubectl: Kubectl) -> None:
    """In the block and in its entries."""  # DESIGN, "IPAM"
    raw = encode_ip_block(a_block("10.240.1.100", a_held_entry()))
    raw["spec"]["later"] = {"x": 1}
    (entry,) = raw["spec"]["entries"]
    raw["spec"]["entries"] = [entry.replace("{", '{"later":[1],')]
    stored = decode_ip_block(_applied(kubectl, raw))
    assert stored.unknown == {"later": {"x": 1}}
    assert stored.entries[0].unknown == {"later": [1]}
    row = _row(kubectl, "dib", stored.name, "-n", "example-vnf")
    assert row == {
        "NAME": stored.name,
        "NETWORK": stored.network,
        "CIDR": str(stored.cidr),
        "FREE": raw["metadata"]["labels"]["danm.k8s.io/free"],
        "SEALED": row["SEALED"],
        "AGE": row["AGE"],
    }
    assert row["SEALED"] in {"", "false"}


def test_a_node_s_state_is_stored_whole(kubectl: Kubectl) -> None:
    """Through its subresource."""  # SPEC N6
    network = NodeNetwork(
        namespace=Namespace("a"), network=NetworkName("b"), link="ens4", up=False, reason="no ens4"
    )
    node = DanmNode(name=NodeName("node-1"), networks=(network,))
    _applied(kubectl, encode_danm_node(node))
    arguments = ["--subresource=status", "-o", "json", "-f", "-"]
    done = kubectl("replace", *arguments, stdin=encode_danm_node(node))
    assert done.returncode == 0, done.stderr
    assert decode_danm_node(msgspec.json.decode(done.stdout)).networks == (network,)
    row = _row(kubectl, "dno", "node-1", "-o", "wide")
    told = {each: row[each] for each in ("UP", "NETWORKS", "DOWN")}
    assert told == {"UP": "0", "NETWORKS": "1", "DOWN": "no ens4"}


@pytest.mark.parametrize("path", ["dnet.spec.Options.vlan", "dep.spec.CID", "dib.spec.entries"])
def test_fields_are_explained(kubectl: Kubectl, path: str) -> None:
    """``kubectl explain`` has words for them."""  # SPEC A3
    done = kubectl("explain", path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.partition("DESCRIPTION:")[2].strip()
