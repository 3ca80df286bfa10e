"""The fallback's plugins when they fail; what they do otherwise is in sandbox_test."""

import asyncio
import time

import msgspec
import pytest

from danm_api.errors import DelegateError, InvalidNetworkError
from danm_cni.cni_errors import code_of
from danm_cni.testing.node import FakeNode

_LIST = {
    "cniVersion": "1.0.0",
    "name": "old",
    "plugins": [{"type": "bridge"}, {"type": "portmap"}],
}


async def test_a_plugin_that_fails_is_undone(node: FakeNode) -> None:
    """All that were started get their DEL, and the error is the plugin's own."""
    # SPEC B2, C3
    node.write_cni_config("10-old.conflist", _LIST)
    node.plugins.failures.fail("portmap-half", DelegateError("no iptables", code=123))
    node.add_pod()
    with pytest.raises(DelegateError, match="10-old.conflist: no iptables") as caught:
        await node.add()
    assert code_of(caught.value) == 123
    assert len(node.plugins.deleted_with) == 2
    assert {} == node.leftovers()


async def test_rubbish_is_undone(node: FakeNode) -> None:
    """What is no result is not handed to the runtime, which would start a Pod without network."""
    node.write_cni_config("10-old.conf", {"cniVersion": "1.0.0", "name": "old", "type": "bridge"})
    node.plugins.results["bridge"] = b'{"ips":[{"address":"nowhere"}]}'
    node.add_pod()
    with pytest.raises(DelegateError, match="10-old.conf: unreadable CNI result"):
        await node.add()
    assert {} == node.leftovers()


async def test_a_plugin_s_del_of_an_unknown_container_fails(node: FakeNode) -> None:
    """The runtime hears it, as before DANM came, and all plugins were asked all the same."""
    node.write_cni_config("10-old.conflist", _LIST)
    node.plugins.failures.fail("portmap-del", DelegateError("no iptables", code=123))
    # DESIGN, "An ADD", step 10
    with pytest.raises(DelegateError, match="no iptables"):
        await node.delete("from-before")
    assert len(node.plugins.deleted_with) == 1
    await node.delete("from-before")


async def test_del_of_an_unknown_container_tells_what_the_runtime_knows(node: FakeNode) -> None:
    """Plugins that clean up by their result get it, in the version of their configuration."""
    node.write_cni_config("10-old.conf", {"cniVersion": "0.4.0", "name": "old", "type": "firewall"})
    result = {"cniVersion": "1.1.0", "ips": [{"address": "203.0.113.9/24"}]}
    request = node.request("DEL", "from-before", prevResult=result)
    # CNI 1.1.0, section 2: "A prevResult must be supplied"
    await node.daemon.sandboxes.ending.delete(
        request, deadline_s=time.monotonic() + 5, informed=True
    )
    (config,) = map(msgspec.json.decode, node.plugins.deleted_with)
    assert config["prevResult"]["cniVersion"] == "0.4.0"
    assert config["prevResult"]["ips"] == [{"address": "203.0.113.9/24", "version": "4"}]


async def test_a_fallback_that_calls_danm_is_told(node: FakeNode) -> None:
    """A meta-plugin whose default network is danm would have danm wait for itself."""
    # SPEC E2
    node.write_cni_config("10-meta.conf", {"cniVersion": "1.0.0", "name": "m", "type": "meta"})
    node.add_pod()
    node.plugins.failures.hang("meta")
    outer = asyncio.create_task(node.add(timeout_s=60))
    await node.until(lambda: node.plugins.failures.hanging["meta"] == 1)
    with pytest.raises(InvalidNetworkError, match=r"pod-1: danm is called while .*\(meta\)"):
        await node.add(timeout_s=60)
    outer.cancel()
    await asyncio.gather(outer, return_exceptions=True)


async def test_an_edited_file_is_used_at_the_next_add(node: FakeNode) -> None:
    """Its owner changes it without telling danmd; what was made keeps its own configuration."""
    first = node.write_cni_config("10-old.conf", {"cniVersion": "0.3.1", "type": "bridge"})
    node.add_pod()
    await node.add()
    second = node.write_cni_config("10-old.conf", {"cniVersion": "0.3.1", "type": "ptp"})
    node.add_pod("pod-2")
    await node.add("c2", pod="pod-2")
    await node.delete("c1")
    await node.delete("c2", pod="pod-2")
    assert [first, second] == node.plugins.deleted_with
    assert {} == node.leftovers()
