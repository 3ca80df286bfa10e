"""What each verb is to answer in each version, for whatever backend."""

import json
from collections.abc import Iterable
from ipaddress import ip_interface
from typing import Any, Final

import pytest

from tests.cni.node import CniNode
from tests.cni.sandbox import Sandbox, a_sandbox
from tests.cni.strict import read_error, read_nothing, read_result, read_versions
from tests.cni.table import FAMILIES, SINCE, Backend, Kind, has, versions_with
from tests.lab.own_network import ip
from tests.lab.process import wait_until

_SOON_S: Final = 20.0


def expect_refusal(node: CniNode, verb: str, version: str) -> None:
    """Require the specification's error for a verb that a version lacks."""
    outcome = node.call(verb, a_sandbox() if verb == "CHECK" else None, version)
    read_error(outcome, version, code=1, names=[verb, version, SINCE[verb]])


def expect_nothing_left(node: CniNode, sandbox: Sandbox) -> None:
    """Wait until nobody has anything of a sandbox.

    What a DEL could not do within 2 s, on a machine that has much else to do, is done soon.
    """
    wait_until(lambda: not node.leftovers(sandbox), what="nothing is left", timeout_s=_SOON_S)


def add(node: CniNode, version: str, backend: Backend) -> tuple[Sandbox, dict[str, Any]]:
    """Send an ADD for a new Pod and return what was made and told."""
    sandbox = node.sandbox(backend)
    outcome = node.call("ADD", sandbox, version)
    return sandbox, read_result(outcome, version, netns=sandbox.netns)


def addresses(result: dict[str, Any], interface: str | None = None) -> set[str]:
    """Return the addresses of a result of any version, of one interface or of all."""
    if "ips" not in result:
        return {result[key]["ip"] for key in ("ip4", "ip6") if key in result}
    return {
        each["address"]
        for each in result["ips"]
        if interface is None or result["interfaces"][each["interface"]]["name"] == interface
    }


def destinations(result: dict[str, Any]) -> set[str]:
    """Return the destinations of a result's routes."""
    parts: Iterable[dict[str, Any]] = (result, result.get("ip4", {}), result.get("ip6", {}))
    return {route["dst"] for part in parts for route in part.get("routes", ())}


def play_add(node: CniNode, version: str, backend: Backend) -> None:
    """ADD tells what there is, and tells it again when it is asked again."""
    sandbox, result = add(node, version, backend)
    shown = sandbox.shown()
    assert set(shown) == {"eth0"}
    eth0 = shown["eth0"]
    assert addresses(result, "eth0") == set(eth0.addresses)
    families = sorted(ip_interface(each).version for each in eth0.addresses)
    assert tuple(families) == FAMILIES[backend.families]
    # Without routes nothing would be compared.
    assert destinations(result)
    assert destinations(result) == sandbox.destinations()
    for told in result.get("interfaces", ()):
        if told.get("sandbox"):
            assert (told["mac"], told.get("mtu", eth0.mtu)) == (eth0.mac, eth0.mtu)
    if backend.is_static:
        assert result["dns"]["nameservers"] == ["198.51.100.53"]
    again = node.call("ADD", sandbox, version)
    assert read_result(again, version, netns=sandbox.netns) == result
    assert sandbox.shown() == shown


def play_del(node: CniNode, version: str, backend: Backend) -> None:
    """DEL leaves nothing, says nothing, and does so again when it is asked again."""
    sandbox, _ = add(node, version, backend)
    node.end_pod(sandbox)
    read_nothing(node.call("DEL", sandbox, version))
    expect_nothing_left(node, sandbox)
    read_nothing(node.call("DEL", sandbox, version))


def play_check(node: CniNode, version: str, backend: Backend) -> None:
    """CHECK is content right after an ADD, where the version has it."""
    if not has(version, "CHECK"):
        expect_refusal(node, "CHECK", version)
        return
    sandbox, result = add(node, version, backend)
    read_nothing(node.call("CHECK", sandbox, version, more={"prevResult": result}))


def play_gc(node: CniNode, version: str, backend: Backend) -> None:
    """GC keeps what is listed and removes all else, where the version has it."""
    if not has(version, "GC"):
        expect_refusal(node, "GC", version)
        return
    stays, _ = add(node, version, backend)
    goes, _ = add(node, version, backend)
    for sandbox in (stays, goes):
        node.end_pod(sandbox)
    listed = [{"containerID": stays.container_id, "ifname": "eth0"}]
    # The key of the specification's text; libcni sends the list under two.
    read_nothing(node.call("GC", version=version, more={"cni.dev/attachments": listed}))
    expect_nothing_left(node, goes)
    assert set(stays.shown()) == {"eth0"}
    read_nothing(node.call("GC", version=version, more={"cni.dev/attachments": []}))
    expect_nothing_left(node, stays)


def play_status(node: CniNode, version: str, backend: Backend) -> None:
    """STATUS is good while danmd serves, where the version has it."""
    if not has(version, "STATUS"):
        expect_refusal(node, "STATUS", version)
        return
    _ = backend
    read_nothing(node.call("STATUS", version=version))


def play_version(node: CniNode, version: str, backend: Backend) -> None:
    """VERSION lists all versions, in whichever it is asked."""
    _ = backend
    read_versions(node.call("VERSION", version=version), version)


def _lose_interface(sandbox: Sandbox) -> None:
    ip("-n", sandbox.namespace, "link", "del", "eth0")


def _lose_address(sandbox: Sandbox) -> None:
    ip("-n", sandbox.namespace, "addr", "flush", "dev", "eth0", "scope", "global")


def _lose_routes(sandbox: Sandbox) -> None:
    for family in ("-4", "-6"):
        ip("-n", sandbox.namespace, family, "route", "flush", "default")


DAMAGES: Final = {
    "interface-gone": _lose_interface,
    "addresses-gone": _lose_address,
    "default-routes-gone": _lose_routes,
}


def damages(of: Iterable[Backend]) -> pytest.MarkDecorator:
    """Return the rows of what CHECK has to find, in the versions that have CHECK."""
    return pytest.mark.parametrize(
        ("version", "backend", "damage"),
        [
            pytest.param(version, backend, damage, id=f"{version}-CHECK-{backend}-{damage}")
            for backend in of
            for version in versions_with("CHECK")
            for damage in DAMAGES
            # A plugin whose file is older than CHECK is not asked, and alone knows its routes.
            if (backend.kind, damage) != (Kind.CONF, "default-routes-gone")
        ],
    )


def play_damage(node: CniNode, version: str, backend: Backend, damage: str) -> None:
    """CHECK tells what is not there any more, and DEL removes the rest."""
    sandbox, result = add(node, version, backend)
    DAMAGES[damage](sandbox)
    outcome = node.call("CHECK", sandbox, version, more={"prevResult": result})
    # danmd's own, or that of a reference plugin that looks first.
    code = 999 if json.loads(outcome.output).get("code") == 999 else 104
    read_error(outcome, version, code=code)
    node.end_pod(sandbox)
    read_nothing(node.call("DEL", sandbox, version))
    expect_nothing_left(node, sandbox)


def play_lost_namespace(node: CniNode, version: str, backend: Backend) -> None:
    """DEL succeeds when the namespace is gone, named or not, and leaves nothing."""
    for change in ({}, {"CNI_NETNS": ""}):
        sandbox, _ = add(node, version, backend)
        node.end_pod(sandbox)
        sandbox.remove()
        read_nothing(node.call("DEL", sandbox, version, change=change))
        expect_nothing_left(node, sandbox)
