"""Pods whose macvlan interface the previous release had the reference plugin make.

It needs root and the reference plugins, as the tests with an API server do, and runs with them.
"""

import asyncio
import json

import pytest

from danm_api.names import ContainerId
from danm_cni.journal import (
    InterfaceKind,
    InterfaceRecord,
    PluginCall,
    RouteRecord,
    SandboxRecord,
    SandboxState,
)
from tests.cni import grid
from tests.cni.executables import call_executable
from tests.cni.node import CniNode
from tests.cni.sandbox import Sandbox
from tests.cni.strict import read_error, read_nothing
from tests.cni.table import NEWEST, Backend, Kind
from tests.ipam.plugin_node import PARENT
from tests.lab.own_network import ip

MACVLAN = Backend(kind=Kind.MACVLAN, families="v4")
ADDRESS, GATEWAY, MAC = "198.18.0.200", "198.18.0.1", "fa:16:3e:12:00:c8"
# As the previous release made it of the node's DanmNet (SPEC E1).
CONFIG = json.dumps(
    {
        "cniVersion": "0.4.0",
        "name": "macvlan",
        "type": "macvlan",
        "master": PARENT,
        "mode": "bridge",
        "ipam": {
            "type": "fakeipam",
            "ip": ADDRESS,
            "subnet": "198.18.0.0/24",
            "routes": [{"dst": "0.0.0.0/0", "gw": GATEWAY}],
            "gateway": GATEWAY,
        },
        "runtimeConfig": {"mac": MAC},
    }
).encode()


@pytest.fixture()
def sandbox(node: CniNode) -> Sandbox:
    """Have a sandbox of the previous release: its interface, and its record in the journal."""
    made = node.sandbox(MACVLAN)
    environment = node.environment("ADD", made)
    added = call_executable(node.plugins / "macvlan", environment, CONFIG)
    assert added.status == 0
    record = SandboxRecord(
        container_id=made.container_id,
        namespace="example-vnf",
        pod=made.pod,
        pod_uid=f"uid-{made.pod}",
        netns=made.netns,
        state=SandboxState.ADDED,
        interfaces=(
            InterfaceRecord(
                interface="eth0",
                kind=InterfaceKind.DELEGATE,
                network="macvlan",
                network_type="macvlan",
                ip=f"{ADDRESS}/24",
                mac=MAC,
                routes=(RouteRecord(destination="0.0.0.0/0", gateway=GATEWAY),),
                calls=(PluginCall(type="macvlan", config=CONFIG),),
                output=added.output,
            ),
        ),
        environment={key: environment[key] for key in ("CNI_PATH", "CNI_ARGS", "PATH")},
        result=added.output,
    )
    put = node.daemon.journal.put(record)
    asyncio.run_coroutine_threadsafe(put, node.loop).result(10)
    return made


def test_the_plugin_checks_and_deletes_it(node: CniNode, sandbox: Sandbox) -> None:
    """CHECK is content with what the plugin made, and DEL leaves nothing."""  # SPEC E3, C6
    read_nothing(node.call("CHECK", sandbox))
    node.end_pod(sandbox)
    read_nothing(node.call("DEL", sandbox))
    grid.expect_nothing_left(node, sandbox)


def test_the_plugin_finds_what_it_alone_looks_at(node: CniNode, sandbox: Sandbox) -> None:
    """The plugin's own complaint of another MAC passes through."""  # SPEC C6
    ip("-n", sandbox.namespace, "link", "set", "eth0", "address", "02:00:00:00:05:07")
    read_error(node.call("CHECK", sandbox), NEWEST, code=999)


def test_gc_deletes_it(node: CniNode, sandbox: Sandbox) -> None:
    """GC without it in its list removes it by its plugin."""  # SPEC C6
    node.end_pod(sandbox)
    read_nothing(node.call("GC", more={"cni.dev/attachments": []}))
    grid.expect_nothing_left(node, sandbox)


def test_deleting_it_needs_its_plugin(node: CniNode, sandbox: Sandbox) -> None:
    """While the plugin is away the record waits; when it is back, the sandbox is finished."""
    # docs/decisions/0017
    plugin = node.plugins / "macvlan"
    target = plugin.readlink()
    plugin.unlink()
    node.end_pod(sandbox)
    read_nothing(node.call("DEL", sandbox))
    assert set(node.leftovers(sandbox)) == {"interfaces", "journal"}
    plugin.symlink_to(target)
    finish = node.daemon.sandboxes.ending.finish(ContainerId(sandbox.container_id))
    asyncio.run_coroutine_threadsafe(finish, node.loop).result(10)
    grid.expect_nothing_left(node, sandbox)
