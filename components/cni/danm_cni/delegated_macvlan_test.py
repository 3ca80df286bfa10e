"""Macvlan interfaces that the previous release had its delegate make (docs/decisions/0017).

The record is one that it wrote, and so is the delegate's configuration, byte for byte.
"""

from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from danm_api.errors import DelegateError
from danm_api.ipam_api import PodOwnerMessage
from danm_api.testing.builders import NAMESPACE
from danm_cni.request import Verb
from danm_cni.testing.fake_addresses import Entry
from danm_cni.testing.node import FakeNode, a_node, netns_of

CONFIG = (
    b'{"cniVersion":"0.4.0","name":"mac","type":"macvlan","master":"ens3","mode":"bridge",'
    b'"mtu":1400,"ipam":{"type":"fakeipam","ip":"198.18.0.10","subnet":"198.18.0.0/24","routes":'
    b'[{"dst":"0.0.0.0/0","gw":"10.9.0.1"}],"gateway":"10.9.0.1"},"runtimeConfig":{"mac":'
    b'"fa:16:3e:12:00:0a"}}'
)
OUTPUT = (
    b'{"cniVersion":"0.4.0","interfaces":[{"name":"eth0","sandbox":"/var/run/netns/cni-c1",'
    b'"mac":"fa:16:3e:12:00:0a"}],"ips":[{"version":"4","address":"198.18.0.10/24","interface":0}]}'
)
RESULT = (
    b'{"cniVersion":"1.1.0","interfaces":[{"name":"eth0","mac":"fa:16:3e:12:00:0a","sandbox":'
    b'"/var/run/netns/cni-c1","mtu":1400}],"ips":[{"address":"198.18.0.10/24","gateway":"10.9.0.1",'
    b'"interface":0}],"routes":[{"dst":"0.0.0.0/0","gw":"10.9.0.1"}],"dns":{}}'
)
RECORD = (
    b'{"container_id":"c1","namespace":"example-vnf","pod":"pod-1","pod_uid":"uid-pod-1","netns":'
    b'"/var/run/netns/cni-c1","state":"STATE","interfaces":[{"interface":"eth0","kind":"delegate",'
    b'"network":"mac","network_uid":"uid-example-vnf-mac","network_type":"macvlan","endpoint":'
    b'"ep-66efb58e4a4f3ea85ac10dd23a6981ff7ff4c85a","ip":"198.18.0.10/24","ip6":null,"mac":'
    b'"fa:16:3e:12:00:0a","routes":[{"destination":"0.0.0.0/0","gateway":"10.9.0.1"}],"reserved":'
    b'true,"attempt":1,"calls":[{"type":"macvlan","config":"CONFIG","checks":true}],"output":'
    b'"OUTPUT","device":""}],"environment":{"CNI_COMMAND":"ADD","CNI_CONTAINERID":"c1","CNI_NETNS":'
    b'"/var/run/netns/cni-c1","CNI_IFNAME":"eth0","CNI_PATH":"/opt/cni/bin","CNI_ARGS":'
    b'"K8S_POD_NAMESPACE=example-vnf;K8S_POD_NAME=pod-1"},"request_interface":"eth0","result":'
    b'"RESULT","adopted":false,"unasked":false}'
)


def _record(state: str) -> bytes:
    """Return the journal's file: complete, or as it is while the delegate runs."""
    done = state == "added"
    parts = {
        b"STATE": state.encode(),
        b"CONFIG": b64encode(CONFIG),
        b"OUTPUT": b64encode(OUTPUT if done else b""),
        b"RESULT": b64encode(RESULT if done else b""),
    }
    text = RECORD
    for name, value in parts.items():
        text = text.replace(b'"' + name + b'"', b'"' + value + b'"')
    return text


@pytest.fixture()
async def node(tmp_path: Path) -> AsyncIterator[FakeNode]:
    """Give a node with a macvlan network."""
    async with a_node(tmp_path) as made:
        made.add_network("mac", network_type="macvlan", host_device="ens3", cidr="198.18.0.0/24")
        await made.knows_networks(1)
        yield made


async def _upgraded(node: FakeNode, state: str) -> None:
    """Have the Pod and everything of its sandbox, and danmd of this release."""
    node.add_pod(interfaces=[{"network": "mac", "ip": "dynamic"}])
    await node.stop()
    path = Path(node.config.paths.state) / "journal" / "c1.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_record(state))
    node.interfaces()["eth0"] = ["198.18.0.10/24"]
    node.plugins.alive["macvlan", "c1", "eth0"] = CONFIG
    await node.restart()
    owner = PodOwnerMessage(namespace=NAMESPACE, name="pod-1", uid="uid-pod-1")
    node.addresses.entries.append(
        Entry(owner=owner, interface="eth0", network="mac", address="198.18.0.10/24", attempt=1)
    )


async def test_its_delegate_is_asked_check(node: FakeNode) -> None:
    """With the bytes of its ADD and the result; what it says passes through."""
    await _upgraded(node, "added")
    await node.check()
    ((verb, call, environment),) = node.plugins.asked
    assert (verb, call.type, environment["CNI_IFNAME"]) == (Verb.CHECK, "macvlan", "eth0")
    # SPEC E3; CNI 1.1.0, section 4
    assert call.config == CONFIG[:-1] + b',"prevResult":' + OUTPUT + b"}"
    node.plugins.failures.fail("macvlan-check", DelegateError("no such mode", code=120))
    with pytest.raises(DelegateError, match="no such mode"):
        await node.check()


@pytest.mark.parametrize("how", ["del", "gc", "no namespace"])
async def test_its_delegate_deletes_it(node: FakeNode, how: str) -> None:
    """However it goes, the delegate gets the bytes of its ADD, and nothing is left."""
    await _upgraded(node, "added")
    await node.end_pod()
    match how:
        case "del":
            await node.delete()
        case "gc":
            await node.collect([])
        case _:
            node.kernel.gone.add(netns_of("c1"))
            node.kernel.namespaces.clear()
            await node.daemon.upkeep.compare()
    # SPEC E3
    (config,) = node.plugins.deleted_with
    assert config == CONFIG[:-1] + b',"prevResult":' + OUTPUT + b"}"
    assert {} == node.leftovers()


async def test_an_add_that_the_upgrade_interrupted_is_undone(node: FakeNode) -> None:
    """A record of an ADD in which the delegate was running goes the same way."""
    await _upgraded(node, "adding")
    await node.end_pod()
    await node.daemon.upkeep.compare()
    assert [CONFIG] == node.plugins.deleted_with
    assert {} == node.leftovers()


async def test_the_pods_next_sandbox_is_danmds_own(node: FakeNode) -> None:
    """The old sandbox is the delegate's to remove; the new one has the same address and MAC."""
    await _upgraded(node, "added")
    result = await node.add("c2")
    assert len(node.plugins.deleted_with) == 1
    assert ["198.18.0.10/24"] == [str(each.address) for each in result.ips]
    assert {} == node.plugins.alive
    await node.end_pod()
    await node.delete("c2")
    assert {} == node.leftovers()
