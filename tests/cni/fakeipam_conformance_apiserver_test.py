"""fakeipam with addresses of DanmNets in all versions, as an IPAM plugin of any other plugin.

It needs root, as the tests with an API server do, and runs with them.
"""

from collections.abc import Mapping
from ipaddress import ip_interface
from typing import Any

import pytest

from tests.cni import grid
from tests.cni.node import CniNode
from tests.cni.sandbox import Sandbox, a_sandbox
from tests.cni.strict import Outcome, read_error, read_ipam_result, read_nothing, read_versions
from tests.cni.table import FAMILIES, SINCE, VERBS, VERSIONS, has


def call(
    node: CniNode,
    verb: str,
    version: str,
    families: str,
    sandbox: Sandbox | None,
    *,
    more: Mapping[str, Any] | None = None,
) -> Outcome:
    """Call fakeipam for an address of each of the families."""
    ipam = {"type": "fakeipam", "network": f"lan-{families}"}
    keys = {"ipam": ipam, **(more or {})}
    return node.call(verb, sandbox, version, executable="fakeipam", more=keys)


def add(node: CniNode, version: str, families: str) -> tuple[Sandbox, dict[str, Any]]:
    """Have a Pod with an address of a DanmNet."""
    sandbox = node.pod([{"network": "second", "ip": "dynamic"}])
    return sandbox, read_ipam_result(call(node, "ADD", version, families, sandbox), version)


@pytest.mark.parametrize("families", FAMILIES)
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("version", VERSIONS)
def test_an_address_of_a_danmnet(node: CniNode, version: str, verb: str, families: str) -> None:
    """Each verb answers in its version, and what is given back is free."""  # SPEC F2
    if not has(version, verb):
        outcome = call(node, verb, version, families, a_sandbox())
        read_error(outcome, version, code=1, names=[verb, version, SINCE[verb]])
        return
    match verb:
        case "VERSION":
            read_versions(call(node, verb, version, families, None), version)
        case "STATUS":
            read_nothing(call(node, verb, version, families, None))
        case "GC":
            stays, goes = (add(node, version, families)[0] for _ in range(2))
            # What is young and has its namespace may be on its way to an interface.
            goes.remove()
            listed = [{"containerID": stays.container_id, "ifname": "eth0"}]
            keys = {"cni.dev/attachments": listed}
            read_nothing(call(node, verb, version, families, None, more=keys))
            grid.expect_nothing_left(node, goes)
            assert node.leftovers(stays)
        case _:
            _play(node, verb, version, families)


def _play(node: CniNode, verb: str, version: str, families: str) -> None:
    sandbox, result = add(node, version, families)
    told = grid.addresses(result)
    assert sorted(ip_interface(each).version for each in told) == list(FAMILIES[families])
    match verb:
        case "ADD":
            again = call(node, verb, version, families, sandbox)
            assert read_ipam_result(again, version) == result
        case "CHECK":
            read_nothing(call(node, verb, version, families, sandbox, more={"prevResult": result}))
            never = call(node, verb, version, families, a_sandbox())
            read_error(never, version, code=3)
        case "DEL":
            for _ in range(2):
                read_nothing(call(node, verb, version, families, sandbox))
                grid.expect_nothing_left(node, sandbox)
