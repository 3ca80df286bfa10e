"""Whose an address is, or why it is nobody's. Pure.

The record (DanmIPBlock) decides; a DanmEp tells where the address is in use, which for networks
that DANM's IPAM does not serve is all there is.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from danm_api.errors import InvalidNetworkError, NetworkNotReadyError
from danm_api.model.addresses import IPAddress
from danm_api.model.danmep import DanmEp
from danm_api.model.danmnet import DanmNet
from danm_api.model.ip_block import (
    ContainerOwner,
    Cooling,
    ExternalOwner,
    Held,
    IPBlock,
    Owner,
    PodOwner,
)
from danm_api.record.entries import has_expired
from danm_api.validation import (
    effective_pool,
    effective_pool6,
    hands_out_addresses,
    is_excluded,
    shares_wire,
)
from kubectl_danm.view.networks import spec_of
from kubectl_danm.view.report import Cell, Report, Row, Section, Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerView:
    """Who holds an address in the record of a network.

    Attributes:
        kind: ``Pod``, ``Container`` or ``External``.
        name: Of the Pod or the external owner, or the container's id.
        uid: Of the Pod; empty for others.
        interface: Of the Pod or container; empty for external owners.
        note: An external owner's reason, or that its time is over.
    """

    network_namespace: str
    network: str
    kind: str
    namespace: str
    name: str
    uid: str
    interface: str
    node: str
    mac: str
    since: datetime
    attempt: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UseView:
    """An interface that has the address, by its DanmEp."""

    namespace: str
    danmep: str
    network: str
    pod: str
    interface: str
    node: str
    mac: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceView:
    """A network in whose subnet the address lies and that has given it to nobody.

    Attributes:
        state: ``free``, ``cooling``, ``outside of the pool``, ``never handed out``, ``not served``,
            ``refused`` and ``not judged`` by the validator, ``being deleted``.
        why: A sentence.
    """

    namespace: str
    network: str
    state: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoDocument:
    """The answer for programs."""

    address: str
    owners: tuple[OwnerView, ...]
    uses: tuple[UseView, ...]
    places: tuple[PlaceView, ...]


def covers(net: DanmNet, address: IPAddress) -> bool:
    """Say whether an address lies in a network's subnet."""
    spec = spec_of(net)
    if spec is None:
        return False
    return any(subnet is not None and address in subnet for subnet in (spec.cidr, spec.net6))


def view_who(
    address: IPAddress,
    networks: Collection[DanmNet],
    blocks: Iterable[IPBlock],
    endpoints: Iterable[DanmEp],
    *,
    now: datetime,
) -> WhoDocument:
    """Return whose an address is.

    Args:
        address: The address.
        networks: All that are to be seen: those in whose subnet it lies, and on whose wire others
            are.
        blocks: Those that may hold it; others are passed over.
        endpoints: DanmEps that may have it; others are passed over.
        now: What expiries and cooling times are compared with.
    """
    entries = [
        (block, entry) for block in blocks for entry in block.entries if entry.address == address
    ]
    owners = tuple(_owner(block, entry, now) for block, entry in entries if isinstance(entry, Held))
    held_in = {(each.network_namespace, each.network) for each in owners}
    cooling = {
        (block.namespace, block.network): entry
        for block, entry in entries
        if isinstance(entry, Cooling) and entry.free_at > now
    }
    return WhoDocument(
        address=str(address),
        owners=owners,
        uses=tuple(_use(each) for each in endpoints if has_address(each, address)),
        places=tuple(
            _place(net, address, cooling.get((net.namespace, net.name)), networks)
            for net in networks
            if covers(net, address) and (net.namespace, net.name) not in held_in
        ),
    )


def has_address(endpoint: DanmEp, address: IPAddress) -> bool:
    """Say whether an interface has an address."""
    given = endpoint.interface.address, endpoint.interface.address_ipv6
    return any(each is not None and each.ip == address for each in given)


def _owner(block: IPBlock, held: Held, now: datetime) -> OwnerView:
    kind, name, uid, interface, note = _parts(held.owner)
    if has_expired(held, now=now):
        note = f"its time is over, ipam-svc frees it within 30 s; {note}"
    return OwnerView(
        network_namespace=block.namespace,
        network=block.network,
        kind=kind,
        namespace=held.owner.namespace,
        name=name,
        uid=uid,
        interface=interface,
        node=held.node,
        mac=held.mac,
        since=held.since,
        attempt=held.attempt,
        note=note,
    )


def _parts(owner: Owner) -> tuple[str, str, str, str, str]:
    match owner:
        case PodOwner():
            return "Pod", owner.name, owner.uid, owner.interface, ""
        case ContainerOwner():
            return "Container", owner.container_id, "", owner.interface, ""
        case ExternalOwner():
            return "External", owner.name, "", "", owner.reason


def _use(endpoint: DanmEp) -> UseView:
    return UseView(
        namespace=endpoint.namespace,
        danmep=endpoint.name,
        network=endpoint.network,
        pod=endpoint.pod,
        interface=endpoint.interface.name,
        node=endpoint.node,
        mac=endpoint.interface.mac_address or "",
    )


def _place(
    net: DanmNet, address: IPAddress, cooling: Cooling | None, networks: Iterable[DanmNet]
) -> PlaceView:
    state, why = _state_of_network(net) or _state(net, address, cooling, networks)
    return PlaceView(namespace=net.namespace, network=net.name, state=state, why=why)


def _state_of_network(net: DanmNet) -> tuple[str, str] | None:
    """Return why a network gives no address at all (SPEC A5, G1); None if it may."""
    if net.deleting:
        return "being deleted", "it gives nobody an address any more"
    try:
        net.spec_in_force()
    except InvalidNetworkError as error:
        return "refused", error.reason
    except NetworkNotReadyError as error:
        return "not judged", error.reason
    return None


def _state(
    net: DanmNet, address: IPAddress, cooling: Cooling | None, networks: Iterable[DanmNet]
) -> tuple[str, str]:
    spec = net.spec_in_force()
    if not hands_out_addresses(spec):
        return (
            "not served",
            "its CNI plugin gives addresses by itself; only DanmEps tell who has which",
        )
    if cooling is not None:
        return "cooling", f"freed a while ago; nobody gets it before {cooling.free_at:%H:%M:%SZ}"
    if is_excluded(spec, address):
        return "never handed out", "a network, broadcast, gateway or excluded address"
    if address not in (effective_pool(spec) or ()) and address not in (effective_pool6(spec) or ()):
        if shares_wire(net, spec, networks):
            # SPEC G3
            return (
                "outside of the pool",
                "nobody gets it: other DanmNets are on its wire, where each gives its pool alone",
            )
        return "outside of the pool", "only a Pod that asks for just this address gets it"
    return "free", "the next Pod may get it"


def report_who(found: WhoDocument, *, notes: tuple[str, ...] = ()) -> Report:
    """Return the answer in all forms; an address that nobody has is the answer "no"."""
    owned = bool(found.owners or found.uses)
    sections = [
        Section(
            title=f"{found.address}: in the record",
            columns=("NETWORK", "OWNER", "INTERFACE", "NODE", "MAC", "SINCE", "NOTE"),
            rows=tuple(_owner_row(each) for each in found.owners),
            empty="nobody holds it",
        ),
        Section(
            title="In use, by DanmEps",
            columns=("NETWORK", "POD", "INTERFACE", "NODE", "MAC", "DANMEP"),
            rows=tuple(_use_row(each) for each in found.uses),
            empty="no interface has it",
        ),
    ]
    if found.places or not owned:
        sections.append(
            Section(
                title="Networks that could give it",
                columns=("NETWORK", "STATE", "WHY"),
                rows=tuple(
                    (
                        Cell(f"{each.namespace}/{each.network}", Tone.STRONG),
                        Cell(each.state),
                        Cell(each.why),
                    )
                    for each in found.places
                ),
                empty="it lies in no DanmNet's cidr or net6 that was looked at",
            )
        )
    return Report(
        document=found,
        names=(
            *(_owner_name(each) for each in found.owners),
            *(f"danmep.danm.k8s.io/{each.danmep}" for each in found.uses),
        ),
        sections=tuple(sections),
        notes=notes,
        found=owned,
    )


def _owner_name(view: OwnerView) -> str:
    return f"{view.kind.lower()}/{view.name}"


def _owner_row(view: OwnerView) -> Row:
    return (
        Cell(f"{view.network_namespace}/{view.network}"),
        Cell(f"{view.kind} {view.namespace}/{view.name}", Tone.STRONG),
        Cell(view.interface or "-"),
        Cell(view.node or "-"),
        Cell(view.mac),
        Cell(view.since.strftime("%Y-%m-%d %H:%M:%SZ"), Tone.FAINT),
        Cell(view.note),
    )


def _use_row(view: UseView) -> Row:
    return (
        Cell(f"{view.namespace}/{view.network}"),
        Cell(f"{view.namespace}/{view.pod}", Tone.STRONG),
        Cell(view.interface),
        Cell(view.node),
        Cell(view.mac or "-"),
        Cell(view.danmep),
    )
