"""The verdict on one DanmNet, and the status that follows from it (SPEC N1, N3, N5).

Pure. A DanmNet that was accepted keeps its verdict until its spec changes: so of two that
contradict each other the one that was accepted first wins, and one in use never loses to an edit of
another.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from danm_api.errors import Violation
from danm_api.model.addresses import IPAddress
from danm_api.model.danmnet import (
    CONDITION_APPLIED,
    CONDITION_VALID,
    Condition,
    DanmNet,
    NetworkSpec,
    NetworkStatus,
    Segment,
    UnreadableSpec,
    Untagged,
    Vlan,
    Vxlan,
)
from danm_api.validation import (
    conflicts,
    host_link_name,
    parent_link_name,
    validate_network,
)
from danm_api.validation.wire import claims, same_wire
from netwatcher.applied import InForce

_SHOWN: Final = 3
# Every node reads the status: whatever a user writes, and however many others are in the way.
_VIOLATIONS_SHOWN: Final = 10
_VIOLATION_LENGTH: Final = 500

REASON_VALID: Final = "Valid"
REASON_REFUSED: Final = "Refused"
REASON_IN_FORCE: Final = "InForce"
REASON_WAITING: Final = "ChangeWaits"
REASON_CHECKING: Final = "Checking"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The present spec keeps all rules."""

    spec: NetworkSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The present spec breaks at least one rule."""

    violations: tuple[Violation, ...]

    @property
    def message(self) -> str:
        """Return what is wrong, and what to do, in one line of bounded length."""
        shown = [_shortened(str(each)) for each in self.violations[:_VIOLATIONS_SHOWN]]
        rest = len(self.violations) - len(shown)
        return "; ".join((*shown, f"and {rest} more") if rest > 0 else shown)


def _shortened(text: str) -> str:
    return text if len(text) <= _VIOLATION_LENGTH else f"{text[:_VIOLATION_LENGTH]}..."


Verdict = Accepted | Refused


def is_settled(net: DanmNet) -> bool:
    """Say whether the present spec was accepted already."""
    verdict = net.status.condition(CONDITION_VALID)
    if verdict is None:
        # Another release may have written it, in a form that this one cannot read.
        return net.status.applied is not None and net.status.applied == net.spec
    return verdict.status is True and verdict.observed_generation == net.generation


def judge(net: DanmNet, others: Iterable[DanmNet]) -> Verdict:
    """Judge the present spec of a network.

    Args:
        net: The network.
        others: At least all networks whose claims it can contradict.
    """
    violations = validate_network(net)
    if not violations and not is_settled(net):
        violations = conflicts(net, others)
    match net.spec:
        case NetworkSpec() as spec if not violations:
            return Accepted(spec=spec)
        case NetworkSpec() | UnreadableSpec():
            return Refused(violations=violations)


def claim_keys(net: DanmNet) -> Iterator[str]:
    """Yield keys under which those find a network whom its claims may stand in the way."""
    for claim in claims(net):
        yield from _meeting_points(claim)


def refused_keys(net: DanmNet) -> Iterator[str]:
    """Yield keys under which a network that is not accepted waits for others to make way."""
    if isinstance(net.spec, NetworkSpec) and not is_settled(net):
        yield from _meeting_points(net.spec)


def keys_to_rivals(net: DanmNet) -> frozenset[str]:
    """Return the keys of all with whom the present spec could collide."""
    return (
        frozenset(_meeting_points(net.spec)) if isinstance(net.spec, NetworkSpec) else frozenset()
    )


def _meeting_points(spec: NetworkSpec) -> Iterator[str]:
    """Yield what two networks must have in common to contradict each other."""
    link = host_link_name(spec)
    if link is not None:
        yield f"link {link}"
    parent = parent_link_name(spec)
    if parent is not None:
        yield f"parent {parent}"
    if spec.host_device is not None:
        yield f"wire {spec.host_device} {_number(spec.segment)}"
    if spec.device_pool is not None:
        yield f"devices {spec.device_pool} {_number(spec.segment)}"
    # Linux takes a VNI once on a node, whatever the parent is.
    if isinstance(spec.segment, Vxlan):
        yield f"wire {_number(spec.segment)}"


def _number(segment: Segment) -> str:
    match segment:
        case Vlan(vid=vid):
            return f"vlan {vid}"
        case Vxlan(vni=vni):
            return f"vxlan {vni}"
        case Untagged():
            return "untagged"


def status_after(
    net: DanmNet, verdict: Verdict, in_force: InForce | None, *, generation: int, now: datetime
) -> NetworkStatus:
    """Return the status that tells a verdict; what other services wrote there stays.

    Args:
        net: The network as it was judged.
        verdict: The verdict.
        in_force: What of an accepted spec is in force; None for a refused one.
        generation: The generation that bears the judged spec; the mark in ``spec`` makes a new one.
        now: When a condition turns, if one does.
    """
    status = net.status
    for kind, holds, reason, message in _statements(net, verdict, in_force):
        condition = Condition(
            type=kind,
            status=holds,
            reason=reason,
            message=message,
            observed_generation=generation,
            last_transition=now,
        )
        status = replace(status, conditions=_with(status.conditions, condition))
    applied = status.applied if in_force is None else in_force.spec
    return replace(status, applied=applied, observed_generation=generation)


def status_meanwhile(
    net: DanmNet, *, claims: bool, changes: bool, generation: int, now: datetime
) -> NetworkStatus:
    """Return the status that holds while the validator makes sure (decision 0010).

    Args:
        net: The network.
        claims: Its present spec binds others from now on, though it is not accepted yet.
        changes: Its spec in force is about to allow less: ipam-svc gives nothing new meanwhile.
        generation: Of the judged spec.
        now: When it begins.
    """
    status = net.status
    for kind, wanted in ((CONDITION_VALID, claims), (CONDITION_APPLIED, changes)):
        if wanted:
            condition = Condition(
                type=kind,
                status=None,
                reason=REASON_CHECKING,
                message="the validator makes sure that no other DanmNet or address is in the way",
                observed_generation=generation,
                last_transition=now,
            )
            status = replace(status, conditions=_with(status.conditions, condition))
    return status


def on_the_wire(net: DanmNet, spec: NetworkSpec, others: Iterable[DanmNet]) -> list[DanmNet]:
    """Return the networks whose Pods hear those of a network."""
    return [
        other
        for other in others
        if (other.namespace, other.name) != (net.namespace, net.name)
        and any(same_wire(spec, claim) for claim in claims(other))
    ]


def refused_for(holders: Mapping[IPAddress, str], spec: NetworkSpec) -> Refused:
    """Return the verdict on a network in whose pools others have addresses (DESIGN P1)."""
    named = [f"{address} ({holder})" for address, holder in sorted_by_address(holders)]
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    message = (
        f"the pool of {spec.network_id} has addresses that others hold on the same wire: "
        f"{', '.join(named[:_SHOWN])}{more}; choose another pool, or end those"
    )
    field = "spec.Options.allocation_pool"
    return Refused(violations=(Violation(field=field, rule="N1", message=message),))


def sorted_by_address(holders: Mapping[IPAddress, str]) -> list[tuple[IPAddress, str]]:
    """Return holders in the order of their addresses, IPv4 first."""
    return sorted(holders.items(), key=lambda item: (item[0].version, int(item[0])))


def _statements(
    net: DanmNet, verdict: Verdict, in_force: InForce | None
) -> Iterator[tuple[str, bool, str, str]]:
    """Yield type, status, reason and message of the conditions."""
    match verdict:
        case Accepted():
            yield CONDITION_VALID, True, REASON_VALID, "the spec keeps all rules"
        case Refused() as refused:
            yield CONDITION_VALID, False, REASON_REFUSED, refused.message
    if in_force is None:
        before = "the spec that was accepted before stays" if net.status.applied else "nothing is"
        yield CONDITION_APPLIED, False, REASON_REFUSED, f"{before} in force"
    elif in_force.waiting:
        yield CONDITION_APPLIED, False, REASON_WAITING, "; ".join(in_force.waiting)
    else:
        yield CONDITION_APPLIED, True, REASON_IN_FORCE, "all of the spec is in force"


def _with(conditions: tuple[Condition, ...], new: Condition) -> tuple[Condition, ...]:
    """Put a condition in the place of the one of its type; its time tells when it turned."""
    old = next((each for each in conditions if each.type == new.type), None)
    if old is None:
        return (*conditions, new)
    if old.status == new.status:
        new = replace(new, last_transition=old.last_transition)
    return tuple(new if each.type == new.type else each for each in conditions)


def news(before: NetworkStatus, after: NetworkStatus) -> Iterator[Condition]:
    """Yield the conditions whose change the owner of a network should hear of."""
    verdict, old_verdict = after.condition(CONDITION_VALID), before.condition(CONDITION_VALID)
    if verdict is not None and not _same_statement(verdict, old_verdict):
        yield verdict
    applied, old_applied = after.condition(CONDITION_APPLIED), before.condition(CONDITION_APPLIED)
    if applied is None or _same_statement(applied, old_applied):
        return
    # That a refused spec is not in force, and an accepted one is, the verdict has said.
    waited = old_applied is not None and old_applied.reason == REASON_WAITING
    if applied.reason == REASON_WAITING or (waited and applied.status):
        yield applied


def _same_statement(one: Condition, other: Condition | None) -> bool:
    """Say whether a condition is no news: the same, or about the same spec in other words."""
    if other is None or (one.status, one.reason) != (other.status, other.reason):
        return False
    return one.message == other.message or one.observed_generation == other.observed_generation


def only_words_differ(one: NetworkStatus, other: NetworkStatus) -> bool:
    """Say whether two statuses differ in nothing but messages, such as who uses a network."""

    def wordless(status: NetworkStatus) -> NetworkStatus:
        conditions = tuple(replace(each, message="") for each in status.conditions)
        return replace(status, conditions=conditions)

    return wordless(one) == wordless(other)
