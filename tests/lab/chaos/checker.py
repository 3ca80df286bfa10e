"""Proves from a history that addresses were handed out rightly; knows nothing of how.

An owner holds an address *for sure* from the answer that gave it until it begins to give it back,
and *perhaps* from the moment that it asked until the record was seen without it. Each rule blames
only what no order of the unseen moments can explain:

- double: two owners held one address of a wire for sure at one moment, or two networks that share
  the wire had it recorded for somebody each;
- lost: an address that was held for sure was taken away, or asking again gave another one;
- full: a pool (or an address) that was free all the time was refused as taken;
- early: an address was handed out before it had cooled, to one who had not asked for just this one;
- stranger: the record shows somebody who had not asked, or never showed what was answered;
- leak: when all was over, the record named somebody who held nothing;
- unproven: the history does not show how the run ended, or ended too late.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tests.lab.chaos.history import Record, Seen, Wish
from tests.lab.chaos.holds import Hold, Place, holds_of
from tests.lab.chaos.sorted_history import NetworkPlace, SortedHistory, sorted_history

# Within so long after the last fault nothing is held without an owner.
GRACE_S: Final = 30.0
_NEVER: Final = float("inf")
_NOBODY: Final = Seen(network="", address="", at=0.0)

_Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise that was broken.

    Attributes:
        rule: As the module's docstring names them.
        at: When, in the history's seconds.
        holders: Whom it concerns.
        place: Which address it concerns.
    """

    rule: str
    at: float
    what: str
    holders: tuple[str, ...] = ()
    place: Place | None = None

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.at:.3f} s: {self.rule}: {self.what}"


def check(history: Iterable[Record], *, grace_s: float = GRACE_S) -> list[Violation]:
    """Return everything that a history proves to be wrong, in the order of time.

    Args:
        history: All records of a run.
        grace_s: How long after the last fault something may be left.
    """
    records = list(history)
    run = sorted_history(records)
    holds, moved = holds_of(records)
    found = [
        Violation(
            rule="lost",
            at=each.at,
            what=f"{each.hold.holder} had {_at(each.hold.place)} and was given {each.address}",
            holders=(each.hold.holder,),
            place=each.hold.place,
        )
        for each in moved
    ]
    found += _doubles(holds)
    found += _doubles_in_record(run)
    found += _taken_away(run, holds)
    found += _never_asked(run)
    found += _never_recorded(run, holds)
    found += _refused_while_free(run)
    found += _too_early(run, holds)
    found += _at_the_end(run, holds, grace_s)
    return sorted(found, key=lambda each: each.at)


def _doubles(holds: Iterable[Hold]) -> Iterator[Violation]:
    by_place: dict[Place, list[Hold]] = defaultdict(list)
    for hold in holds:
        by_place[hold.place].append(hold)
    for place, owned in by_place.items():
        owned.sort(key=lambda each: (each.since, each.until))
        last = owned[0]
        for hold in owned[1:]:
            if hold.since < last.until and hold.entry != last.entry:
                yield Violation(
                    rule="double",
                    at=hold.since,
                    what=f"{last.holder} and {hold.holder} both had {_at(place)}",
                    holders=(last.holder, hold.holder),
                    place=place,
                )
            if hold.until > last.until:
                last = hold


def _doubles_in_record(run: SortedHistory) -> Iterator[Violation]:
    """Yield the moments from which two networks on one wire had somebody for one address each."""
    for place, changes in run.on_wire.items():
        present: dict[str, Seen] = {}
        for seen in changes:
            before = present.pop(seen.network, None)
            if not seen.holder:
                continue
            others = list(present.values())
            present[seen.network] = seen
            if before is not None and before.holder == seen.holder:
                continue
            for other in others:
                yield Violation(
                    rule="double",
                    at=seen.at,
                    what=f"{_at(place)} was recorded for {other.holder} by {other.network} and for"
                    f" {seen.holder} by {seen.network}",
                    holders=(other.holder, seen.holder),
                    place=place,
                )


def _taken_away(run: SortedHistory, holds: Iterable[Hold]) -> Iterator[Violation]:
    """Yield the changes of the record that took an address from whoever had it for sure."""
    for hold in holds:
        for before, after in pairwise(run.seen.get(hold.entry[:2], ())):
            # An entry of an earlier attempt is one that the holder had before.
            if (
                before.holder == hold.holder
                and before.attempt >= hold.first_attempt
                and after.holder != hold.holder
                and after.at < hold.until
            ):
                to = after.holder or "nobody"
                yield Violation(
                    rule="lost",
                    at=after.at,
                    what=f"{_at(hold.place)} was taken from {hold.holder} and given to {to}",
                    holders=(hold.holder, after.holder) if after.holder else (hold.holder,),
                    place=hold.place,
                )


def _never_asked(run: SortedHistory) -> Iterator[Violation]:
    for (network, address), changes in run.seen.items():
        place = run.place_of(network, address)
        for seen in changes:
            if not seen.holder:
                continue
            asked = run.asked.get((seen.holder, seen.attempt), _NEVER)
            if asked > seen.at:
                yield Violation(
                    rule="stranger",
                    at=seen.at,
                    what=f"{_at(place)} was recorded for {seen.holder} under attempt"
                    f" {seen.attempt}, which it had not sent",
                    holders=(seen.holder,),
                    place=place,
                )


def _never_recorded(run: SortedHistory, holds: Iterable[Hold]) -> Iterator[Violation]:
    for hold in holds:
        recorded = any(
            seen.holder == hold.holder and seen.attempt >= hold.first_attempt
            for seen in run.seen.get(hold.entry[:2], ())
        )
        if not recorded:
            yield Violation(
                rule="stranger",
                at=hold.since,
                what=f"{hold.holder} was answered {_at(hold.place)}, which the record never showed",
                holders=(hold.holder,),
                place=hold.place,
            )


def _refused_while_free(run: SortedHistory) -> Iterator[Violation]:
    occupied = {place: _perhaps_held(run, changes) for place, changes in run.seen.items()}
    for reserve in run.reserves:
        if reserve.answer not in {"exhausted", "taken"}:
            continue
        exact = reserve.answer == "taken"
        wanted = Counter(
            _wanted(run, wish) for wish in reserve.wishes if bool(wish.exactly) == exact
        )
        if all(
            _free_all_the_time(occupied, places, count, reserve.start, reserve.end)
            for places, count in wanted.items()
        ):
            yield Violation(
                rule="full",
                at=reserve.end,
                what=f"{reserve.owner} was refused ({reserve.answer}), though something was free"
                f" all the time: {reserve.detail}",
                holders=tuple(wish.holder for wish in reserve.wishes),
            )


def _wanted(run: SortedHistory, wish: Wish) -> tuple[NetworkPlace, ...]:
    if wish.exactly:
        return ((wish.network, wish.exactly),)
    return run.places[wish.network, wish.family]


def _perhaps_held(run: SortedHistory, changes: list[Seen]) -> list[_Interval]:
    """Return when an address may have been somebody's (or cooling), sorted and apart."""
    found: list[_Interval] = []
    for position, seen in enumerate(changes):
        if not seen.holder:
            continue
        # Written after it was asked for, and gone before it was seen to be gone.
        since = min(seen.at, run.asked.get((seen.holder, seen.attempt), seen.at))
        if position + 1 < len(changes):
            until = changes[position + 1].at + run.cools_for_s(seen.network)
        else:
            until = _NEVER
        if found and since <= found[-1][1]:
            found[-1] = (min(since, found[-1][0]), max(until, found[-1][1]))
        else:
            found.append((since, until))
    return found


def _free_all_the_time(
    occupied: dict[NetworkPlace, list[_Interval]],
    places: Sequence[NetworkPlace],
    count: int,
    since: float,
    until: float,
) -> bool:
    """Say whether at every moment of an interval so many addresses were nobody's for sure."""
    changes: list[tuple[float, int]] = []
    for place in places:
        intervals = occupied.get(place, [])
        first = bisect_left(intervals, since, key=lambda each: each[1])
        for begin, end in intervals[first:]:
            if begin > until:
                break
            # At one moment what begins counts before what ends.
            changes += [(max(begin, since), 0), (end, 1)]
    taken = 0
    for _, ends in sorted(changes):
        taken += -1 if ends else 1
        if len(places) - taken < count:
            return False
    return True


def _too_early(run: SortedHistory, holds: Iterable[Hold]) -> Iterator[Violation]:
    """Yield the entries of addresses that were still cooling, made for who wanted just any one.

    Cooling begins with the release, or the owner's end, that frees the address; the record is seen
    without the owner later than that, and with the next one later than that one was given it. Only
    what somebody had for sure has to cool: a request that fails may give back at once what it took.
    """
    by_attempt = {(hold.entry, hold.first_attempt): hold for hold in holds}
    for (network, address), changes in run.seen.items():
        if not run.cooldown_s.get(network):
            continue
        last: Hold | None = None
        freed: tuple[Hold, float] | None = None
        for before, after in pairwise((_NOBODY, *changes)):
            if before.holder and before.holder != after.holder:
                freed = None if last is None else (last, min(last.until, after.at))
                last = None
            if not after.holder:
                continue
            hold = by_attempt.get(((network, address, after.holder), after.attempt))
            last = hold or last
            if before.holder == after.holder or freed is None:
                continue
            former, since = freed
            asked_for_it = (after.holder, after.attempt, (network, address)) in run.exactly
            cools_until = run.cools_until(network, since, after.at)
            if not asked_for_it and after.at < cools_until:
                place = run.place_of(network, address)
                yield Violation(
                    rule="early",
                    at=after.at,
                    what=f"{_at(place)} was given to {after.holder} {after.at - since:.3f} s after"
                    f" {former.holder} began to give it back",
                    holders=(former.holder, after.holder),
                    place=place,
                )


def _at_the_end(run: SortedHistory, holds: list[Hold], grace_s: float) -> Iterator[Violation]:
    last = max(run.ends, default=0.0)
    if not any(snapshot.at >= last for snapshot in run.snapshots):
        yield Violation(rule="unproven", at=last, what="nobody looked at the record at the end")
    for snapshot in run.snapshots:
        before = max((at for at in run.ends if at <= snapshot.at), default=0.0)
        if snapshot.at > before + grace_s:
            yield Violation(
                rule="unproven",
                at=snapshot.at,
                what=f"the record was looked at {snapshot.at - before:.1f} s after the last fault",
            )
        live = {hold.entry for hold in holds if hold.since <= snapshot.at < hold.until}
        held = {(each.network, each.address, each.holder) for each in snapshot.held}
        for network, address, holder in sorted(held - live):
            place = run.place_of(network, address)
            yield Violation(
                rule="leak",
                at=snapshot.at,
                what=f"{_at(place)} is still recorded for {holder}, who is gone",
                holders=(holder,),
                place=place,
            )
        for network, address, holder in sorted(live - held):
            place = run.place_of(network, address)
            yield Violation(
                rule="lost",
                at=snapshot.at,
                what=f"{_at(place)} of {holder} is not in the record",
                holders=(holder,),
                place=place,
            )


def _at(place: Place) -> str:
    return f"{place[1]} of {place[0]}"
