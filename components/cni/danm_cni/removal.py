"""Taking a sandbox down: interfaces first, then DanmEps, then addresses (SPEC C4; DESIGN, P3).

Each step may be repeated, and the upkeep tries again what has failed. An interface that cannot be
removed keeps its DanmEp (if it had one), its addresses and its place in the record, and those of
no other one.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Sequence

import msgspec

from danm_api.errors import DanmError
from danm_api.ipam_api import PodOwnerMessage, ReleaseRequest, Reservation
from danm_api.model.danmep import DanmEp
from danm_api.model.danmnet import BuiltInType
from danm_api.names import ContainerId, Namespace, NodeName, PodUid
from danm_api.telemetry import get_logger
from danm_cni.child_link import OWN_TYPES
from danm_cni.concurrency import all_of, outcomes_of, raise_together
from danm_cni.delegate_addresses import DelegateAddresses
from danm_cni.edges import AddressService, EndpointStore, PodSource
from danm_cni.failpoints import Effect, effect
from danm_cni.journal import (
    InterfaceKind,
    InterfaceRecord,
    Journal,
    SandboxRecord,
    SandboxState,
)
from danm_cni.news import NO_DEL, AddressNews, of_entry
from danm_cni.steps import Step, step
from danm_cni.unmaking import InterfacesLeftError, InterfaceUnmaking

log = get_logger(__name__)

_RELEASE_TIMEOUT_S = 5.0


class SandboxRemoval:
    """Removes sandboxes; the caller holds their locks."""

    def __init__(
        self,
        *,
        node: NodeName,
        journal: Journal,
        unmaking: InterfaceUnmaking,
        endpoints: EndpointStore,
        addresses: AddressService,
        delegate_addresses: DelegateAddresses,
        pods: PodSource,
        news: AddressNews,
    ) -> None:
        """Work with these edges."""
        self._node = node
        self._journal = journal
        self._unmaking = unmaking
        self._endpoints = endpoints
        self._addresses = addresses
        self._delegate_addresses = delegate_addresses
        self._pods = pods
        self._news = news

    async def _mark(self, record: SandboxRecord) -> SandboxRecord:
        """Make durable that a sandbox is to go; from then on it will."""
        if record.state is SandboxState.REMOVING:
            return record
        marked = msgspec.structs.replace(record, state=SandboxState.REMOVING, result=b"")
        with step(Step.JOURNAL), effect(Effect.WRITE_REMOVING):
            await self._journal.put(marked)
        return marked

    async def remove(self, record: SandboxRecord) -> None:
        """Remove a sandbox; its addresses too, unless its Pod is getting another sandbox.

        Raises:
            DanmError: Something is left; the record stays, with that.
        """
        marked = await self._begin(record)
        left, errors = await self._take_away(marked)
        keep = bool(marked.networks()) and await self._pods.wants_addresses(marked)
        ending = self._end(marked, left, errors, keep_addresses=keep)
        await all_of([ending, self._delegate_addresses.release(marked)])

    async def vacate(self, record: SandboxRecord) -> SandboxRecord:
        """Remove a sandbox but keep its addresses for the Pod's next one.

        Raises:
            DanmError: Something is left; the record stays.
        """
        marked = await self._begin(record)
        _, errors = await self._take_away(marked)
        await self._delegate_addresses.release(marked)
        raise_together(errors)
        return await self._hold(marked)

    async def undo(self, record: SandboxRecord, *, keep_addresses: bool) -> None:
        """Remove what a failed ADD made (SPEC C3).

        Raises:
            DanmError: Something is left; the record stays, with that.
        """
        # Its own plugins have ended.
        marked = await self._mark(record)
        left, errors = await self._take_away(marked)
        keep = keep_addresses and bool(marked.networks())
        ending = self._end(marked, left, errors, keep_addresses=keep)
        await all_of([ending, self._delegate_addresses.release(marked)])

    async def release(self, record: SandboxRecord) -> None:
        """Give a sandbox's addresses back and forget it.

        Raises:
            DanmError: ipam-svc did not take it; the record stays.
        """
        await self._give_back(record)
        await self._forget(record)
        log.info("Removed sandbox", container_id=record.container_id, pod=record.pod)

    async def release_beyond(
        self, held: SandboxRecord, wanted: Collection[tuple[str, str]]
    ) -> None:
        """Give back what a held sandbox has beyond what its Pod's next one asks for.

        Args:
            held: Its interfaces are known to be gone.
            wanted: Networks and interfaces.

        Raises:
            DanmError: ipam-svc did not take it; the record stays as it is.
        """
        rest = tuple(each for each in held.interfaces if (each.network, each.interface) in wanted)
        if len(rest) == len(held.interfaces):
            return
        beyond = tuple(each for each in held.interfaces if each not in rest)
        await self._give_back(msgspec.structs.replace(held, interfaces=beyond))
        if not rest:
            await self._forget(held)
            return
        with step(Step.JOURNAL), effect(Effect.WRITE_HELD):
            await self._journal.put(msgspec.structs.replace(held, interfaces=rest))

    async def _end(
        self,
        marked: SandboxRecord,
        left: frozenset[str],
        errors: Sequence[DanmError],
        *,
        keep_addresses: bool,
    ) -> None:
        """Do what comes after the interfaces that are gone, and tell what went wrong with others.

        Args:
            marked: The sandbox.
            left: The interfaces of which something may be left.
            errors: Of those.
            keep_addresses: For the Pod's next sandbox.
        """
        if not errors:
            await (self._hold(marked) if keep_addresses else self.release(marked))
            return
        rest = tuple(each for each in marked.interfaces if each.interface in left)
        # What is to be held is in one record, of which nothing is given back meanwhile.
        if not keep_addresses and len(rest) < len(marked.interfaces):
            gone = tuple(each for each in marked.interfaces if each.interface not in left)
            try:
                await self._give_back(msgspec.structs.replace(marked, interfaces=gone))
            except DanmError as error:
                errors = [*errors, error]
            else:
                with step(Step.JOURNAL), effect(Effect.WRITE_REMOVING):
                    await self._journal.put(msgspec.structs.replace(marked, interfaces=rest))
        raise_together(errors)

    async def _give_back(self, record: SandboxRecord) -> None:
        """Release the addresses of a record's interfaces, whose record stays as it is."""
        networks = record.networks()
        if not networks:
            return
        for attempt, interfaces in (await self._attempts(record)).items():
            request = ReleaseRequest(
                owner=owner_of(record),
                attempt=attempt,
                networks=networks,
                interfaces=interfaces,
                node=self._node,
                timeout_s=_RELEASE_TIMEOUT_S,
            )
            with step(Step.RELEASE), effect(Effect.RELEASE):
                answer = await self._addresses.release(
                    request, deadline_s=time.monotonic() + _RELEASE_TIMEOUT_S
                )
            if record.unasked:
                self._news.note(NO_DEL, map(of_entry, answer.released))

    async def _forget(self, record: SandboxRecord) -> None:
        with step(Step.JOURNAL), effect(Effect.FORGET):
            await self._journal.forget(ContainerId(record.container_id))

    async def _begin(self, record: SandboxRecord) -> SandboxRecord:
        if record.state in (SandboxState.ADDING, SandboxState.REMOVING):
            # Its ADD or DEL may have died with an earlier danmd, whose plugins may go on after what
            # follows here, or hang for ever.
            with step(Step.STRAYS), effect(Effect.END_STRAYS):
                await self._unmaking.end_strays(record)
        return await self._mark(record)

    async def _take_away(self, marked: SandboxRecord) -> tuple[frozenset[str], Sequence[DanmError]]:
        """Remove interfaces, and the DanmEps of those that are gone.

        What delegates got through fakeipam for them is marked: it does not stay the Pod's, whose
        next sandbox's delegates ask anew (SPEC F2).

        Returns:
            The interfaces of which something may be left, and why.
        """
        left: frozenset[str] = frozenset()
        errors: list[DanmError] = []
        try:
            with step(Step.REMOVE):
                await self._unmaking.unmake(marked, marked.interfaces)
        except InterfacesLeftError as error:
            left, errors = error.interfaces, [*error.errors]
        told = [each for each in marked.interfaces if each.endpoint and each.interface not in left]
        with step(Step.ENDPOINTS):
            outcomes = await outcomes_of(
                self._delete_endpoint(marked, each.endpoint) for each in told
            )
        failed = {
            each.interface: error
            for each, error in zip(told, outcomes, strict=True)
            if error is not None
        }
        left |= failed.keys()
        held = await self._delegate_addresses.mark(marked, but=left)
        return left | held.keys(), [*errors, *failed.values(), *held.values()]

    async def _delete_endpoint(self, record: SandboxRecord, name: str) -> None:
        with effect(Effect.DELETE_ENDPOINT):
            await self._endpoints.delete(Namespace(record.namespace), name)

    async def _hold(self, record: SandboxRecord) -> SandboxRecord:
        elsewhere = self._in_other_sandboxes(record)
        held = msgspec.structs.replace(
            record,
            state=SandboxState.HELD,
            interfaces=tuple(
                msgspec.structs.replace(each, calls=(), endpoint="")
                for each in record.interfaces
                if each.reserved and (each.network, each.interface) not in elsewhere
            ),
        )
        if not held.interfaces:
            await self._forget(record)
            return held
        with step(Step.JOURNAL), effect(Effect.WRITE_HELD):
            await self._journal.put(held)
        return held

    def _in_other_sandboxes(self, record: SandboxRecord) -> set[tuple[str, str]]:
        """Return the networks and interfaces that other sandboxes of the Pod have, or may have."""
        return {
            (each.network, each.interface)
            for other in self._journal.of_pod(PodUid(record.pod_uid))
            if other.container_id != record.container_id and other.state is not SandboxState.HELD
            for each in other.interfaces
            if each.reserved
        }

    async def _attempts(self, record: SandboxRecord) -> dict[int, list[str]]:
        """Return interfaces by attempt; the record says it unless danmd died before it knew."""
        found: dict[int, list[str]] = defaultdict(list)
        unknown: set[str] = set()
        for each in record.interfaces:
            if each.reserved and each.attempt:
                found[each.attempt].append(each.interface)
            elif each.reserved:
                unknown.add(each.interface)
        # What is another sandbox's by now is given back with that.
        unknown -= {interface for _, interface in self._in_other_sandboxes(record)}
        if unknown:
            for entry in await self._addresses.node_reservations():
                if is_owner(entry, record) and entry.interface in unknown:
                    found[entry.attempt].append(entry.interface)
        return dict(found)

    async def drop(self, record: SandboxRecord, interface: InterfaceRecord) -> None:
        """Remove one interface of a sandbox that stays: its address is not its own any more.

        Raises:
            DanmError: Something is left; it stays in the record.
        """
        await self._unmaking.unmake(record, [interface])
        if interface.endpoint:
            await self._delete_endpoint(record, interface.endpoint)
        alone = msgspec.structs.replace(record, interfaces=(interface,))
        raise_together((await self._delegate_addresses.mark(alone, but=())).values())
        await self._delegate_addresses.release(alone)
        rest = tuple(each for each in record.interfaces if each.interface != interface.interface)
        await self._journal.put(msgspec.structs.replace(record, interfaces=rest, result=b""))


def is_owner(entry: Reservation, record: SandboxRecord) -> bool:
    """Say whether an entry of ipam-svc's is of a sandbox's Pod."""
    return isinstance(entry.owner, PodOwnerMessage) and entry.owner.uid == record.pod_uid


def owner_of(record: SandboxRecord) -> PodOwnerMessage:
    """Return whom ipam-svc knows as the owner of a sandbox's addresses."""
    return PodOwnerMessage(namespace=record.namespace, name=record.pod, uid=record.pod_uid)


def adopted_record(endpoints: Sequence[DanmEp]) -> SandboxRecord | None:
    """Return what the DanmEps of one sandbox tell of it; pure."""
    if not endpoints:
        return None
    first = endpoints[0]
    return SandboxRecord(
        container_id=first.container_id,
        namespace=first.namespace,
        pod=first.pod,
        pod_uid=first.pod_uid,
        netns=first.netns,
        state=SandboxState.ADDED,
        interfaces=tuple(_adopted_interface(each) for each in endpoints),
        adopted=True,
    )


def _adopted_interface(endpoint: DanmEp) -> InterfaceRecord:
    interface = endpoint.interface
    built_in = endpoint.network_type in set(BuiltInType)
    return InterfaceRecord(
        interface=interface.name,
        kind=InterfaceKind.OWN if endpoint.network_type in OWN_TYPES else InterfaceKind.DELEGATE,
        network=endpoint.network,
        network_type=endpoint.network_type,
        endpoint=endpoint.name,
        ip=str(interface.address) if interface.address else None,
        ip6=str(interface.address_ipv6) if interface.address_ipv6 else None,
        mac=interface.mac_address,
        reserved=built_in and (interface.address or interface.address_ipv6) is not None,
    )
