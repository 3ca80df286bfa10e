"""GC, of the node and of its delegates."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from danm_api.errors import DelegateError, LinkSetupError, SeveralErrors
from danm_api.kube.api import PODS
from danm_api.testing.builders import NAMESPACE
from danm_cni.journal import PluginCall, SandboxState
from danm_cni.request import Verb
from danm_cni.testing.demo import INTERNAL, MANAGEMENT
from danm_cni.testing.node import FakeNode, a_node, config_for

LISTED = [{"containerID": "c2", "ifname": "eth0"}]


async def test_gc_removes_what_the_runtime_does_not_list(node: FakeNode) -> None:
    """GC removes the sandboxes that are not among the valid attachments."""
    node.add_pod(interfaces=[INTERNAL])
    node.add_pod("pod-2", interfaces=[INTERNAL])
    await node.add("c1")
    await node.add("c2", pod="pod-2")
    for name in ("pod-1", "pod-2"):
        await node.kube.delete(PODS, name, namespace=NAMESPACE)
    # SPEC C6
    await node.collect(LISTED)
    assert ["c2"] == [each.container_id for each in node.daemon.journal.records()]


async def test_gc_spares_what_is_held_for_a_pods_next_sandbox(node: FakeNode) -> None:
    """Of such a sandbox only addresses are left, which are the Pod's and not the runtime's."""
    # SPEC C6; DESIGN, "When an address is released"
    node.add_pod(interfaces=[INTERNAL])
    await node.add("c1")
    await node.delete("c1")
    node.kernel.failures.fail("take_down", LinkSetupError("nothing is there to be removed"))
    await node.collect([])
    states = [each.state for each in node.daemon.journal.records()]
    assert states == [SandboxState.HELD]
    assert len(node.addresses.entries) == 1


async def test_gc_of_another_network_configuration_removes_nothing(node: FakeNode) -> None:
    """A list of valid attachments is of one network: the sandboxes of others are not missing."""
    # CNI 1.1.0, section 2: "attachments to this network"
    node.add_pod(interfaces=[INTERNAL])
    await node.add("c1")
    await node.kube.delete(PODS, "pod-1", namespace=NAMESPACE)
    await node.collect([], name="mixed")
    assert {"eth0"} == set(node.interfaces("c1"))
    await node.restart()
    await node.collect([], name="mixed")
    assert ["c1"] == [each.container_id for each in node.daemon.journal.records()]
    await node.collect([])
    assert {} == node.leftovers()


async def test_gc_of_a_runtime_that_does_not_say_what_it_has_removes_nothing(
    node: FakeNode,
) -> None:
    """Without a list, as from cnitool, neither danmd nor a delegate concludes anything."""
    _has_static(node)
    node.add_pod(interfaces=[INTERNAL])
    await node.add("c1")
    await node.kube.delete(PODS, "pod-1", namespace=NAMESPACE)
    await node.daemon.sandboxes.collect(node.request("GC", ""))
    assert ["c1"] == [each.container_id for each in node.daemon.journal.records()]
    assert [] == _asked(node)


async def test_a_sandbox_that_stays_does_not_stop_gc(node: FakeNode) -> None:
    """What can be removed is, the delegates are asked, and all that failed is told."""
    # CNI 1.1.0, section 2: GC continues after an error, and reports all.
    _has_static(node)
    for number in (1, 2):
        node.add_pod(f"pod-{number}", interfaces=[INTERNAL])
        await node.add(f"c{number}", pod=f"pod-{number}")
        await node.kube.delete(PODS, f"pod-{number}", namespace=NAMESPACE)
    node.kernel.failures.fail("take_down", LinkSetupError("the kernel says no"))
    node.plugins.failures.fail("bridge-gc", DelegateError("disk is full", code=5))
    with pytest.raises(SeveralErrors, match="the kernel says no; .*disk is full"):
        await node.collect([])
    assert len(list(node.daemon.journal.records())) == 1


def _has_static(node: FakeNode, **change: Any) -> None:  # noqa: ANN401
    keys = {"cniVersion": "1.1.0", "name": "mgmt", "plugins": [{"type": "bridge"}]}
    node.write_cni_config("flannel.conflist", keys | change)


def _asked(node: FakeNode) -> list[PluginCall]:
    assert {verb for verb, _, _ in node.plugins.asked} <= {Verb.GC}
    return [call for _, call, _ in node.plugins.asked]


async def test_delegates_hear_of_all_that_stays(node: FakeNode) -> None:
    """A static type's plugins, and the fallback's, are told every attachment of the node."""
    _has_static(node)
    node.write_cni_config("10-old.conf", {"cniVersion": "1.1.0", "name": "old", "type": "ptp"})
    node.add_pod("pod-2", interfaces=[MANAGEMENT, INTERNAL])
    await node.add("c2", pod="pod-2")
    before = {"containerID": "from-before", "ifname": "eth0"}
    await node.collect([*LISTED, before])
    bridge, ptp = sorted(_asked(node), key=lambda call: call.type)
    for call, name in ((bridge, "mgmt"), (ptp, "old")):
        config = msgspec.json.decode(call.config)
        assert config["name"] == name
        # The runtime names eth0 alone; the delegate of another interface must not free it.
        # As CNI 1.1.0 was published, and as it was corrected.
        for key in ("cni.dev/attachments", "cni.dev/valid-attachments"):
            valid = {(each["containerID"], each["ifname"]) for each in config[key]}
            assert valid == {("c2", "eth0"), ("c2", "eth1"), ("from-before", "eth0")}
        assert "prevResult" not in config
    environment, *_ = (environment for _, _, environment in node.plugins.asked)
    # CNI 1.1.0, section 4: GC is of a network and not of a container.
    assert {"CNI_PATH"} == set(environment)


async def test_what_only_a_danmep_tells_of_stays(node: FakeNode) -> None:
    """After the journal is lost a listed sandbox's interfaces are still told to its delegates."""
    _has_static(node)
    node.add_pod("pod-2", interfaces=[MANAGEMENT, INTERNAL])
    await node.add("c2", pod="pod-2")
    await node.until(lambda: len(node.daemon.informers[2].items()) == 2)
    await node.lose_journal()
    await node.collect(LISTED)
    (call,) = _asked(node)
    valid = msgspec.json.decode(call.config)["cni.dev/valid-attachments"]
    assert {"containerID": "c2", "ifname": "eth1"} in valid


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"cniVersion": "1.0.0"}, id="older than GC"),
        pytest.param({"disableGC": True}, id="its list forbids it"),
    ],
)
async def test_plugins_that_must_not_be_asked_are_not(
    node: FakeNode, change: dict[str, object]
) -> None:
    """GC is not for configurations before 1.1.0, nor for lists with disableGC."""
    _has_static(node, **change)
    await node.collect([])
    assert [] == _asked(node)


async def test_one_failing_plugin_does_not_stop_the_others(node: FakeNode) -> None:
    """All plugins are asked; what failed is told with the name of its file."""
    _has_static(node, plugins=[{"type": "bridge"}, {"type": "firewall"}])
    node.plugins.failures.fail("bridge-gc", DelegateError("disk is full", code=5))
    with pytest.raises(DelegateError, match="flannel.conflist: disk is full"):
        await node.collect([])
    assert ["bridge", "firewall"] == [call.type for call in _asked(node)]


async def test_a_network_whose_file_is_gone_does_not_stop_gc(node: FakeNode) -> None:
    """GC goes on without a static type that has no usable configuration on this node."""
    node.write_cni_config("10-old.conf", {"cniVersion": "1.1.0", "name": "old", "type": "ptp"})
    (node.root / "etc/cni/net.d/flannel.conf").unlink()
    await node.collect([])
    assert ["ptp"] == [call.type for call in _asked(node)]


@pytest.mark.parametrize(
    ("fallback", "asked"),
    [
        pytest.param("/etc/cni/net.d/flannel.conflist", ["bridge"], id="the very same"),
        pytest.param("/etc/cni/net.d/10-link.conflist", ["bridge"], id="a link to it"),
        pytest.param("/etc/elsewhere/flannel.conflist", ["bridge", "ptp"], id="of the same name"),
        pytest.param("none", ["bridge"], id="none"),
    ],
)
async def test_a_network_is_asked_once(tmp_path: Path, fallback: str, asked: list[str]) -> None:
    """The fallback may be a static type, too; one that is only called so is asked as well."""
    # SPEC B2, E2
    config = replace(config_for(tmp_path), fallback=fallback)
    directory = tmp_path / "etc/cni/net.d"
    elsewhere = tmp_path / "etc/elsewhere/flannel.conflist"
    elsewhere.parent.mkdir(parents=True)
    for path, plugin in ((directory / "flannel.conflist", "bridge"), (elsewhere, "ptp")):
        keys = {"cniVersion": "1.1.0", "name": "mgmt", "plugins": [{"type": plugin}]}
        path.write_bytes(msgspec.json.encode(keys))
    (directory / "10-link.conflist").symlink_to("flannel.conflist")
    async with a_node(tmp_path, config=config) as node:
        node.add_network("management", network_type="flannel")
        await node.knows_networks(1)
        await node.collect([])
        assert sorted(call.type for call in _asked(node)) == asked
