"""Which addresses a real network namespace has, and taking them off."""

import asyncio
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from uuid import uuid4

import pytest

from danm_api.errors import LinkSetupError
from danm_api.model.addresses import IPAddress
from danm_cni.kernel import KernelInterfaces
from danm_cni.netns import NetnsGoneError, open_netns

_V4, _V6 = ip_address("10.1.2.3"), ip_address("2001:db8::3")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


async def _own(kernel: KernelInterfaces, path: str) -> set[IPAddress]:
    """Return the addresses that the kernel has not made itself."""
    return {each for each in await kernel.addresses(path) if not each.is_link_local}


@pytest.fixture()
def namespace() -> Iterator[str]:
    """Make a namespace with an interface of two addresses, one of them to a peer."""
    name = f"danm-held-{uuid4().hex[:8]}"
    _ip("netns", "add", name)
    try:
        _ip("-n", name, "link", "add", "a0", "type", "veth", "peer", "name", "a1")
        _ip("-n", name, "addr", "add", f"{_V4}/32", "peer", "10.1.2.1/32", "dev", "a0")
        _ip("-n", name, "addr", "add", f"{_V6}/64", "dev", "a0", "nodad")
        yield name
    finally:
        _ip("netns", "del", name)


async def test_addresses_are_seen_and_removed(namespace: str) -> None:
    """All of them are seen, by the namespace's name, and only those that are meant go."""
    kernel = KernelInterfaces(host_root=Path("/"))
    path = f"/var/run/netns/{namespace}"
    assert path in await kernel.named_namespaces()
    assert await _own(kernel, path) == {_V4, _V6}, "and not the peer's"
    await kernel.remove_addresses(path, {_V4, ip_address("192.0.2.1")})
    assert await _own(kernel, path) == {_V6}
    await kernel.remove_addresses(path, {_V4})
    assert await _own(kernel, path) == {_V6}


async def test_addresses_of_one_subnet_go_together(namespace: str) -> None:
    """The kernel drops a subnet's second address with its first: what is gone is no error."""
    kernel = KernelInterfaces(host_root=Path("/"))
    path = f"/var/run/netns/{namespace}"
    # As in most namespaces; otherwise the second address would become the first.
    switch = "net.ipv4.conf.a0.promote_secondaries=0"
    _ip("netns", "exec", namespace, "sysctl", "-q", "-w", switch)
    both = {ip_address("10.2.0.2"), ip_address("10.2.0.3")}
    for each in sorted(both):
        _ip("-n", namespace, "addr", "add", f"{each}/24", "dev", "a0")
    assert await _own(kernel, path) == {_V4, _V6, *both}
    await kernel.remove_addresses(path, both)
    assert await _own(kernel, path) == {_V4, _V6}


async def test_a_namespace_that_is_gone_is_told_from_one_that_cannot_be_read(
    tmp_path: Path,
) -> None:
    """Nothing at a path, or a file that is no namespace, is gone; anything else is not known."""
    # DESIGN, P3
    kernel = KernelInterfaces(host_root=tmp_path)
    assert await kernel.named_namespaces() == []
    with pytest.raises(NetnsGoneError):
        await kernel.addresses("/nothing")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NetnsGoneError):
        await kernel.addresses("/file")
    with pytest.raises(LinkSetupError) as caught:
        await asyncio.to_thread(open_netns, tmp_path, "/" + "x" * 300)
    assert not isinstance(caught.value, NetnsGoneError)
