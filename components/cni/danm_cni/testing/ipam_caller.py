"""A plugin of some runtime that calls fakeipam, on a node whose edges are fakes."""

import time
from dataclasses import dataclass
from typing import Any

import msgspec

from danm_api.testing.builders import NAMESPACE
from danm_cni.allocation_journal import AllocationState
from danm_cni.allocations import Allocations
from danm_cni.ipam_request import IpamRequest, decode_ipam_request
from danm_cni.testing.node import FakeNode, netns_of


@dataclass(kw_only=True)
class Caller:
    """A plugin of some runtime that calls fakeipam."""

    node: FakeNode

    @property
    def allocations(self) -> Allocations:
        """Return what answers."""
        return self.node.daemon.allocations.allocations

    def request(
        self,
        verb: str,
        container_id: str = "c1",
        *,
        pod: str | None = "pod-1",
        uid: str = "",
        interface: str = "net1",
        network: str = "lan",
        version: str = "1.1.0",
        **config: Any,  # noqa: ANN401  (JSON values)
    ) -> IpamRequest:
        """Return a request."""
        base = self.node.request(verb, container_id, pod=pod or "x", uid=uid).environment
        environment = {**base, "CNI_IFNAME": interface}
        if pod is None:
            environment["CNI_ARGS"] = ""
        ipam = {"type": "fakeipam", "network": network}
        if pod is None:
            ipam["namespace"] = NAMESPACE
        body = {"cniVersion": version, "name": "cfg", "type": "macvlan", "ipam": ipam, **config}
        return decode_ipam_request(environment, msgspec.json.encode(body))

    async def add(
        self, container_id: str = "c1", **changes: Any  # noqa: ANN401  (of ``request``)
    ) -> str:
        """Send an ADD, let the plugin make the interface, and return the first address."""
        request = self.request("ADD", container_id, **changes)
        answer = await self.allocations.add(request, deadline_s=time.monotonic() + 5)
        address = str(msgspec.json.decode(answer)["ips"][0]["address"])
        interfaces = self.node.kernel.namespaces[netns_of(container_id)].interfaces
        interfaces[request.call.interface] = [address]
        return address

    def remove_interface(self, container_id: str = "c1") -> None:
        """Do the plugin's part of a DEL."""
        self.node.kernel.namespaces[netns_of(container_id)].interfaces.clear()

    async def delete(
        self, container_id: str = "c1", *, wait_s: float = 5, **changes: Any  # noqa: ANN401
    ) -> None:
        """Send a DEL."""
        request = self.request("DEL", container_id, **changes)
        await self.allocations.delete(request, deadline_s=time.monotonic() + wait_s)

    async def grow_old(self) -> None:
        """Let some time have passed since all ADDs."""
        journal = self.node.daemon.allocations.journal
        for record in journal.records():
            await journal.put(msgspec.structs.replace(record, since=0.0))

    def held(self) -> list[str]:
        """Return what ipam-svc has recorded."""
        return [each.address for each in self.node.addresses.entries]

    def states(self) -> dict[str, AllocationState]:
        """Return the states of the journal's records, by container."""
        records = self.node.daemon.allocations.journal.records()
        return {each.container_id: each.state for each in records}
