"""Compares the record with Pods, DanmEps, nodes and DanmNets. Pure.

What may still be live is never proposed for freeing: an entry of a Pod is freed by the danmd of its
node, which alone knows that the interface is gone, or when that node is lost (DESIGN, P3 and "Nodes
fence").
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface

from danm_api.codec.attachment import decode_annotation
from danm_api.errors import InvalidAttachmentError
from danm_api.model.addresses import IPAddress
from danm_api.model.attachment import Attachment, NoAddress
from danm_api.model.danmep import DanmEp
from danm_api.model.danmnet import BuiltInType, DanmNet
from danm_api.model.ip_block import ContainerOwner, Held, PodOwner, owner_key
from danm_api.model.ipam_report import Finding, FindingKind, Outcome
from danm_api.model.pod import Pod, PodPhase
from danm_api.names import DEFAULT_NETWORK, INTERFACES_ANNOTATION, NetworkUid, NodeName
from danm_api.record.diagnosis import Action, DeleteEndpoint, Diagnosis, FreeEntry, RemoveBlock
from danm_api.record.entries import dead_doubles, describe_owner, has_expired, held_entries
from danm_api.record.reasons import DOUBLE, EXPIRED, LOST_NODE, Reason
from danm_api.record.snapshot import Entry, Facts, Snapshot
from danm_api.validation import hands_out_addresses
from danm_api.validation.wire import names_of_wire

_BUILT_IN = {each.value for each in BuiltInType}


def examine(snapshot: Snapshot) -> tuple[Diagnosis, ...]:
    """Return what does not fit together in one look; some of it may be in flight."""
    facts = Facts.of(snapshot)
    return (
        *_unreadable(snapshot),
        *_entries(snapshot, facts),
        *_two_addresses(facts),
        *_two_owners(facts),
        *_endpoints(snapshot, facts),
        *_pods(snapshot, facts),
        *_blocks(snapshot, facts),
    )


def _unreadable(snapshot: Snapshot) -> Iterator[Diagnosis]:
    for each in snapshot.unreadable:
        yield Diagnosis(
            finding=Finding(
                kind=FindingKind.UNREADABLE,
                namespace=each.namespace,
                subject=f"{each.kind} {each.namespace}/{each.name}",
                problem=f"it cannot be read: {each.reason}",
                remedy="mend the object, or use a release that can read it; it counts as in use",
            )
        )


def _entries(snapshot: Snapshot, facts: Facts) -> Iterator[Diagnosis]:
    for entry in facts.entries:
        held, owner = entry.held, entry.held.owner
        if has_expired(held, now=snapshot.now):
            yield _of_entry(
                entry,
                FindingKind.OWNER_EXPIRED,
                "its owner's time is over",
                "the Lease holder of ipam-svc frees it within 30 s",
                _free(entry, EXPIRED),
            )
        elif isinstance(owner, PodOwner) and not facts.lives_on(owner.uid, held.node):
            yield _without_owner(entry, facts, _why_gone(facts.pods.get(owner.uid)))
        elif isinstance(owner, ContainerOwner) and facts.is_lost(held.node):
            yield _without_owner(entry, facts, "its node is lost")
        elif isinstance(owner, PodOwner) and _lacks_endpoint(entry, owner, facts):
            yield _of_entry(
                entry,
                FindingKind.ADDRESS_WITHOUT_ENDPOINT,
                "the Pod runs and has no DanmEp for it, so no Service finds it",
                f"danmd of {held.node} creates it within 10 s; if it does not, delete the Pod, so"
                " that it is made anew",
                None,
            )


def _why_gone(pod: Pod | None) -> str:
    if pod is None:
        return "there is no such Pod"
    return "the Pod has ended" if pod.ended else f"the Pod runs on {pod.node or 'no node'}"


def _without_owner(entry: Entry, facts: Facts, why: str) -> Diagnosis:
    node = entry.held.node
    if facts.is_lost(node):
        return _of_entry(
            entry,
            FindingKind.ADDRESS_WITHOUT_POD,
            why,
            "the Lease holder of ipam-svc frees it within 30 s, since its node is lost",
            _free(entry, LOST_NODE, lost_node=node),
        )
    return _of_entry(
        entry,
        FindingKind.ADDRESS_WITHOUT_POD,
        why,
        f"danmd of {node} frees it once the interface is gone, which it alone knows: does danmd run"
        " there? Only if its machine is off, or cut off from the Pods' wires for good: kubectl"
        f" taint node {node} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute, or delete"
        " the Node; others get its addresses within seconds",
        None,
    )


def _lacks_endpoint(entry: Entry, owner: PodOwner, facts: Facts) -> bool:
    spec = entry.spec
    # What fakeipam has asked for has no DanmEp, and nothing in the record tells which that is.
    if spec is None or spec.fakeipam or not hands_out_addresses(spec):
        return False
    if entry.block.namespace in facts.with_unreadable_endpoints:
        return False
    pod = facts.pods[owner.uid]
    key = (entry.block.namespace, entry.block.network, owner.uid, owner.interface)
    return pod.phase is PodPhase.RUNNING and not pod.deleting and key not in facts.endpoints


def _two_addresses(facts: Facts) -> Iterator[Diagnosis]:
    by_network: dict[NetworkUid, list[Entry]] = defaultdict(list)
    for entry in facts.entries:
        by_network[entry.block.network_uid].append(entry)
    for entries in by_network.values():
        blocks = {entry.block.name: entry.block for entry in entries}
        dead = {each.address for each in dead_doubles(blocks.values())}
        families: dict[tuple[object, ...], list[Entry]] = defaultdict(list)
        for entry in entries:
            held = entry.held
            if held.address in dead:
                yield _of_entry(
                    entry,
                    FindingKind.TWO_ADDRESSES,
                    "its owner has a newer one on the network",
                    "the Lease holder of ipam-svc frees it within 30 s",
                    _free(entry, DOUBLE),
                )
            elif held.is_pending:
                yield _of_entry(
                    entry,
                    FindingKind.TWO_ADDRESSES,
                    "a request took it beside its owner's other one, and has not ended",
                    "the Lease holder of ipam-svc frees it within a minute, unless the request"
                    " ends well",
                    None,
                )
            else:
                families[owner_key(held.owner), held.address.version].append(entry)
        for first, *others in families.values():
            for entry in others:
                elsewhere = first.held.node != entry.held.node
                yield _of_entry(
                    entry,
                    FindingKind.TWO_ADDRESSES,
                    f"its owner has {first.held.address} too"
                    + (f", on node {first.held.node}" if elsewhere else ""),
                    "the node whose interface has the other one gives this one back, or else delete"
                    " the Pod",
                    None,
                )


def _two_owners(facts: Facts) -> Iterator[Diagnosis]:
    by_address: dict[IPAddress, list[Entry]] = defaultdict(list)
    for entry in facts.entries:
        by_address[entry.held.address].append(entry)
    for entries in by_address.values():
        # By what a wire is known, the entries on it: as many tenants may have the address as there
        # are, each on a wire of its own, and not every two of them can be compared.
        on_wire: dict[object, list[int]] = defaultdict(list)
        for position, entry in enumerate(entries):
            wires = _wires(entry) if len(entries) > 1 else ()
            for met in sorted({each for wire in wires for each in on_wire[wire]}):
                other = entries[met]
                yield _of_entry(
                    entry,
                    FindingKind.TWO_OWNERS,
                    f"{describe_owner(other.held.owner)} has it too, on DanmNet"
                    f" {other.block.namespace}/{other.block.network} of the same wire",
                    "delete one of the two; which one is right nobody but you can tell",
                    None,
                )
            for wire in wires:
                on_wire[wire].append(position)


def _wires(entry: Entry) -> tuple[object, ...]:
    """Return by what the wire of an entry is known; of a network that is gone its name tells."""
    name = ("network", entry.block.namespace, entry.block.network)
    if entry.spec is None:
        return (name,)
    return (name, *names_of_wire(entry.spec))


def _endpoints(snapshot: Snapshot, facts: Facts) -> Iterator[Diagnosis]:
    for endpoint in snapshot.endpoints:
        lost = facts.is_lost(endpoint.node)
        net = facts.by_name.get((endpoint.namespace, endpoint.network))
        uid = NetworkUid("") if net is None else net.uid
        action = DeleteEndpoint(endpoint=endpoint, network_uid=uid) if lost else None
        who = (
            "the Lease holder of ipam-svc deletes it, since its node is lost"
            if lost
            else f"danmd of {endpoint.node} acts within 10 s: does it run there?"
        )
        if not facts.lives_on(endpoint.pod_uid, endpoint.node):
            why = _why_gone(facts.pods.get(endpoint.pod_uid))
            kind = FindingKind.ENDPOINT_WITHOUT_POD
            yield _of_endpoint(endpoint, kind, why, who, action)
            continue
        for address in _missing(endpoint, facts):
            kind = FindingKind.ENDPOINT_WITHOUT_ADDRESS
            why = f"the record has no entry for {address}, so somebody else may get it"
            yield _of_endpoint(endpoint, kind, why, who, action, address=str(address))


def _missing(endpoint: DanmEp, facts: Facts) -> Iterator[IPAddress]:
    """Yield the addresses of an interface that the record should have and has not."""
    net = facts.by_name.get((endpoint.namespace, endpoint.network))
    spec = None if net is None else net.status.applied
    if spec is None or endpoint.network_type.lower() not in _BUILT_IN:
        return
    found = facts.held_by_pod.get((endpoint.namespace, endpoint.network, endpoint.pod_uid), [])
    held = {each.address for each in found if _interface(each) == endpoint.interface.name}
    given: tuple[tuple[IPv4Interface | IPv6Interface | None, object], ...] = (
        (endpoint.interface.address, spec.cidr),
        (endpoint.interface.address_ipv6, spec.net6),
    )
    for interface, subnet in given:
        if interface is not None and subnet is not None and interface.ip not in held:
            yield interface.ip


def _interface(held: Held) -> str:
    return held.owner.interface if isinstance(held.owner, PodOwner) else ""


def _pods(snapshot: Snapshot, facts: Facts) -> Iterator[Diagnosis]:
    for pod in snapshot.pods:
        if pod.phase is not PodPhase.RUNNING or pod.deleting or pod.host_network:
            continue
        try:
            attachments = decode_annotation(
                pod.annotations.get(INTERFACES_ANNOTATION), pod=f"{pod.namespace}/{pod.name}"
            )
        except InvalidAttachmentError:
            # Its ADD says so.
            continue
        wanted = _wanted(pod, attachments, facts) if attachments else _of_default(pod, facts)
        for net, count, why in wanted:
            found = facts.held_by_pod.get((net.namespace, net.name, pod.runtime_uid), [])
            has = len({_interface(held) for held in found})
            if has < count:
                yield Diagnosis(
                    finding=Finding(
                        kind=FindingKind.POD_WITHOUT_ADDRESS,
                        namespace=pod.namespace,
                        network=net.name,
                        subject=f"Pod {pod.namespace}/{pod.name}",
                        node=pod.node or "",
                        problem=f"it runs, {why}, and the record has {has}",
                        remedy=f"danmd of {pod.node} claims within 10 s what its interfaces have;"
                        " if nothing changes, delete the Pod, so that it is made anew",
                    )
                )


def _wanted(
    pod: Pod, attachments: Iterable[Attachment], facts: Facts
) -> Iterator[tuple[DanmNet, int, str]]:
    """Yield the networks that must have entries of a Pod, for how many interfaces, and why."""
    counts: dict[str, int] = defaultdict(int)
    for attachment in attachments:
        net = facts.by_name.get((pod.namespace, attachment.network))
        spec = None if net is None else net.status.applied
        if spec is not None and hands_out_addresses(spec):
            counts[attachment.network] += bool(
                (spec.cidr is not None and not isinstance(attachment.ip, NoAddress))
                or (spec.net6 is not None and not isinstance(attachment.ip6, NoAddress))
            )
    for name, count in counts.items():
        why = f"asks for {count} interfaces with addresses on the network"
        yield facts.by_name[pod.namespace, name], count, why


def _of_default(pod: Pod, facts: Facts) -> Iterator[tuple[DanmNet, int, str]]:
    """Yield the DanmNet ``default`` of a Pod that asks for nothing, if it is on it (SPEC B2).

    It is on the fallback network, or on what its node had before DANM, when it was there before the
    DanmNet or before danmd. So only a younger Pod counts, and only one to which the runtime gives
    an address of the DanmNet.
    """
    net = facts.by_name.get((pod.namespace, DEFAULT_NETWORK))
    spec = None if net is None else net.status.applied
    if net is None or spec is None or not hands_out_addresses(spec):
        return
    if pod.created is None or pod.created <= net.created:
        return
    subnets = [each for each in (spec.cidr, spec.net6) if each is not None]
    mine = [ip for ip in pod.ips if any(ip in subnet for subnet in subnets)]
    if mine:
        yield net, 1, f"has {', '.join(map(str, mine))} of its namespace's default network"


def _blocks(snapshot: Snapshot, facts: Facts) -> Iterator[Diagnosis]:
    for block in snapshot.blocks:
        if block.network_uid in facts.networks:
            continue
        held = held_entries(block)
        owners = ", ".join(f"{each.address} of {describe_owner(each.owner)}" for each in held[:3])
        more = f" and {len(held) - 3} more" if len(held) > 3 else ""  # noqa: PLR2004
        yield _diagnosis(
            Finding(
                kind=FindingKind.BLOCK_WITHOUT_NETWORK,
                namespace=block.namespace,
                network=block.network,
                subject=f"DanmIPBlock {block.namespace}/{block.name}",
                problem=(
                    f"its DanmNet is gone; it holds {owners}{more}"
                    if held
                    else "its DanmNet is gone, and it is empty"
                ),
                remedy=(
                    "it goes when the last of these Pods ends, or external owners release"
                    if held
                    else "the Lease holder of ipam-svc removes it within a minute"
                ),
            ),
            None if held else RemoveBlock(block=block),
        )


def _free(entry: Entry, reason: Reason, *, lost_node: NodeName | None = None) -> FreeEntry:
    return FreeEntry(
        block=entry.block,
        held=entry.held,
        reason=reason,
        lost_node=lost_node,
        cooldown_s=0 if entry.spec is None else entry.spec.cooldown_s,
    )


def _diagnosis(finding: Finding, action: Action | None) -> Diagnosis:
    outcome = Outcome.LEFT if action is None else Outcome.REPAIRABLE
    return Diagnosis(finding=replace(finding, outcome=outcome), action=action)


def _of_entry(
    entry: Entry, kind: FindingKind, problem: str, remedy: str, action: Action | None
) -> Diagnosis:
    return _diagnosis(
        Finding(
            kind=kind,
            namespace=entry.block.namespace,
            network=entry.block.network,
            subject=describe_owner(entry.held.owner),
            address=str(entry.held.address),
            node=entry.held.node,
            attempt=entry.held.attempt,
            problem=problem,
            remedy=remedy,
        ),
        action,
    )


def _of_endpoint(  # (one keyword more than the rule allows)
    endpoint: DanmEp,
    kind: FindingKind,
    problem: str,
    remedy: str,
    action: Action | None,
    *,
    address: str = "",
) -> Diagnosis:
    return _diagnosis(
        Finding(
            kind=kind,
            namespace=endpoint.namespace,
            network=endpoint.network,
            subject=f"DanmEp {endpoint.namespace}/{endpoint.name} of Pod {endpoint.pod}"
            f" (interface {endpoint.interface.name})",
            address=address,
            node=endpoint.node,
            problem=problem,
            remedy=remedy,
        ),
        action,
    )
