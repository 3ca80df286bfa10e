"""Delegates that go wrong when they have half-made an interface.

It needs root and the reference plugins, as the tests with an API server do, and runs with them.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from tests.cni.node import CniNode
from tests.cni.strict import read_error
from tests.cni.table import NEWEST

_GOOD: Final = {"network": "macvlan", "ip": "dynamic"}
_HANGS: Final = (
    "the time for the ADD was over",
    "/wrong needs plugin bad of wrong.conf, which has not ended",
    "find out on the node what it waits for",
    "try again",
)
_PLUGIN: Final = """\
#!/bin/sh
inside=$(basename "$CNI_NETNS")
case $CNI_COMMAND in
ADD) ip -n "$inside" link add "$CNI_IFNAME" type bridge && {then} ;;
DEL) ip -n "$inside" link del "$CNI_IFNAME" ;;
esac
"""


@pytest.mark.parametrize(
    ("then", "code", "told"),
    [
        pytest.param("sleep 1000", 11, _HANGS, id="hangs"),
        pytest.param(
            "{ trap '' TERM INT; sleep 1000 & sleep 1000; }",
            *(11, _HANGS),
            id="hangs with children, deaf to signals",
        ),
        pytest.param("kill -SEGV $$", 110, ("killed by signal 11", "plugin bad"), id="SIGSEGV"),
        pytest.param("kill -KILL $$", 110, ("killed by signal 9", "plugin bad"), id="SIGKILL"),
        pytest.param("echo rubbish", 6, ("plugin bad printed no JSON",), id="rubbish"),
        pytest.param("true", 6, ("plugin bad printed no JSON",), id="nothing"),
        pytest.param("echo '[]'", 6, ("unreadable CNI result",), id="a list"),
        pytest.param(
            """echo '{"ips":[{"address":"nowhere"}]}'""",
            *(6, ("unreadable CNI result", "nowhere")),
            id="no address",
        ),
        pytest.param(
            """printf '{"ips":[{"address":"\\377"}]}'""",
            *(6, ("unreadable CNI result", "utf-8")),
            id="no UTF-8",
        ),
        pytest.param(
            "head -c 1000000 /dev/zero | tr '\\0' '['",
            *(6, ("plugin bad printed no JSON", "recursion")),
            id="endless nesting",
        ),
        pytest.param(
            "head -c 8000000 /dev/zero | tr '\\0' ' '",
            *(110, ("plugin bad printed more than 4194304 bytes",)),
            id="megabytes",
        ),
        pytest.param(
            "head -c 8000000 /dev/zero >&2",
            *(110, ("plugin bad printed more than 4194304 bytes",)),
            id="megabytes of complaint",
        ),
        pytest.param("exit 3", 110, ("exited with 3", "it printed nothing"), id="a status alone"),
        pytest.param(
            "{ echo oops >&2; echo half; exit 3; }", *(110, ("exited with 3", "oops")), id="words"
        ),
        pytest.param(
            """{ echo '{"code":117,"msg":"no room","details":"at all"}'; exit 1; }""",
            *(117, ("plugin bad: no room (at all)",)),
            id="an error of its own",
        ),
        pytest.param(
            """{ echo '{"code":-1,"msg":"no room"}'; exit 1; }""",
            *(110, ("exited with 1", "no room")),
            id="an error without a good code",
        ),
    ],
)
def test_a_delegate_that_goes_wrong(
    node: CniNode, then: str, code: int, told: tuple[str, ...]
) -> None:
    """Its file and what it did are told; its half-made interface and all else are undone."""
    # SPEC C3, E2
    _has_plugin(node, then)
    sandbox = node.pod([_GOOD, {"network": "wrong"}])
    outcome = node.call("ADD", sandbox, NEWEST)
    read_error(outcome, NEWEST, code=code, names=("wrong.conf", *told))
    assert node.leftovers(sandbox) == {}
    assert not _still_running(sandbox.container_id)


def test_a_delegate_that_gives_eth0_no_address(node: CniNode) -> None:
    """The runtime needs one; the Pod and what to give to the plugin are told."""
    # SPEC B4
    _has_plugin(node, """echo '{"cniVersion":"1.0.0","ips":[]}'""")
    sandbox = node.pod([{"network": "wrong"}])
    outcome = node.call("ADD", sandbox, NEWEST)
    told = (sandbox.pod, "eth0 got no address", "give the plugin of its network an IPAM")
    read_error(outcome, NEWEST, code=105, names=told)
    assert node.leftovers(sandbox) == {}


def _has_plugin(node: CniNode, then: str) -> None:
    """Have a static network `wrong` whose plugin makes an interface and does something then."""
    plugin = node.plugins / "bad"
    plugin.write_text(_PLUGIN.format(then=then))
    plugin.chmod(0o755)
    node.write_configuration("wrong.conf", {"cniVersion": "1.0.0", "name": "wrong", "type": "bad"})
    node.add_network_once("wrong", network_type="wrong")


def _still_running(container_id: str) -> list[str]:
    """Return the commands of processes that were started for a container."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"CNI_CONTAINERID={container_id}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
    return found
