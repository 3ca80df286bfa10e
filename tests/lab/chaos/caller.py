"""Calls of ipam-svc, each with its way into the history."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from danm_api.errors import AddressTakenError, DanmError, PoolExhaustedError
from danm_api.ipam_api import (
    AttachmentRequest,
    ExternalOwnerMessage,
    OwnerMessage,
    PodOwnerMessage,
    ReleaseRequest,
    ReserveAnswer,
    ReserveRequest,
)
from danm_api.ipam_client import IpamClient
from tests.lab.chaos import history
from tests.lab.chaos.history import Send, Wish
from tests.lab.chaos.recorder import Recorder

_DYNAMIC: Final = "dynamic"
_NONE: Final = "none"
# As long as an ADD of danmd usually has left.
TIMEOUT_S: Final = 5.0
_AGAIN_S: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a reserve.

    Attributes:
        attempt: Of the answer; 0 when nothing is held.
        sent: The attempts of all sends: each may have left something.
    """

    answer: history.ReserveAnswer
    attempt: int
    sent: tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class Caller:
    """One client of ipam-svc; it numbers the sends of all its owners."""

    client: IpamClient
    recorder: Recorder
    _last: int = 0

    async def reserve(
        self,
        owner: OwnerMessage,
        attachments: Sequence[AttachmentRequest],
        *,
        node: str = "",
        fresh: bool = False,
        until: float | None = None,
        note: Callable[[int], None] = lambda _: None,
    ) -> Outcome:
        """Reserve all or nothing.

        Args:
            owner: Who.
            attachments: What.
            node: Of a Pod.
            fresh: The owner never asked before.
            until: When the owner expires, in the history's seconds.
            note: Is told each attempt before it is sent.
        """
        await self.recorder.pace()
        sends: list[Send] = []

        async def next_attempt(above: int) -> int:
            self._last = max(self._last, above, int(time.time() * 1000) - 1) + 1
            note(self._last)
            sends.append(Send(attempt=self._last, at=self.recorder.now()))
            return self._last

        start = self.recorder.now()
        request = ReserveRequest(
            owner=owner,
            attempt=await next_attempt(0),
            attachments=list(attachments),
            node=node,
            fresh=fresh,
        )
        kind: history.ReserveAnswer = "unknown"
        detail = "cancelled"
        answer: ReserveAnswer | None = None
        try:
            answer = await self.client.reserve(
                request, deadline=time.monotonic() + TIMEOUT_S, next_attempt=next_attempt
            )
            kind, detail = "held", ""
        except DanmError as error:
            kind, detail = _kind_of(error), f"{type(error).__name__}: {error.reason}"
        finally:
            wishes, addresses = _wishes(owner, attachments, answer)
            self.recorder.add(
                history.Reserve(
                    owner=owner_id(owner),
                    wishes=wishes,
                    sends=tuple(sends),
                    start=start,
                    end=self.recorder.now(),
                    answer=kind,
                    addresses=addresses,
                    attempt=answer.attempt if answer else 0,
                    until=until,
                    detail=detail,
                )
            )
        return Outcome(
            answer=kind,
            attempt=answer.attempt if answer else 0,
            sent=tuple(each.attempt for each in sends),
        )

    async def release(
        self,
        owner: OwnerMessage,
        attachments: Sequence[AttachmentRequest],
        *,
        attempt: int,
        node: str = "",
    ) -> bool:
        """Give back what is held under an attempt; return whether that was answered."""
        await self.recorder.pace()
        start = self.recorder.now()
        kind: history.ReleaseAnswer = "unknown"
        detail = "cancelled"
        interfaces = [each.interface for each in attachments if each.interface]
        try:
            await self.client.release(
                ReleaseRequest(
                    owner=owner,
                    attempt=attempt,
                    networks=sorted({each.network for each in attachments}),
                    interfaces=interfaces,
                    node=node,
                ),
                deadline=time.monotonic() + TIMEOUT_S,
            )
            kind, detail = "done", ""
        except DanmError as error:
            kind = "unknown" if error.transient else "refused"
            detail = f"{type(error).__name__}: {error.reason}"
        finally:
            self.recorder.add(
                history.Release(
                    owner=owner_id(owner),
                    holders=tuple({holder_id(owner, each.interface) for each in attachments}),
                    attempt=attempt,
                    start=start,
                    end=self.recorder.now(),
                    answer=kind,
                    detail=detail,
                )
            )
        return kind == "done"

    async def release_for_sure(
        self,
        owner: OwnerMessage,
        attachments: Sequence[AttachmentRequest],
        *,
        attempt: int,
        node: str = "",
        gives_up: Callable[[], bool] = lambda: False,
    ) -> None:
        """Give back until it is answered or the caller gives up."""
        while not gives_up() and not await self.release(
            owner, attachments, attempt=attempt, node=node
        ):
            await asyncio.sleep(_AGAIN_S)


def owner_id(owner: OwnerMessage) -> str:
    """Return an owner's name in the history."""
    match owner:
        case PodOwnerMessage():
            return owner.uid
        case ExternalOwnerMessage():
            return f"{owner.namespace}/{owner.name}"
    raise AssertionError(owner)


def holder_id(owner: OwnerMessage, interface: str) -> str:
    """Return a holder's name in the history: the same as in the record's."""
    return f"{owner_id(owner)}/{interface}" if interface else owner_id(owner)


def _kind_of(error: DanmError) -> history.ReserveAnswer:
    if isinstance(error, PoolExhaustedError):
        return "exhausted"
    if isinstance(error, AddressTakenError):
        return "taken"
    return "unknown" if error.transient else "refused"


def _wishes(
    owner: OwnerMessage, attachments: Sequence[AttachmentRequest], answer: ReserveAnswer | None
) -> tuple[tuple[Wish, ...], tuple[str, ...]]:
    """Return what is wanted, and what was given for each of it when there is an answer."""
    wishes: list[Wish] = []
    addresses: list[str] = []
    for position, attachment in enumerate(attachments):
        given = answer.attachments[position] if answer else None
        families: tuple[tuple[history.Family, str, str | None], ...] = (
            (4, attachment.ip, given.ip if given else None),
            (6, attachment.ip6, given.ip6 if given else None),
        )
        for family, asked, got in families:
            if asked == _NONE:
                continue
            wishes.append(
                Wish(
                    holder=holder_id(owner, attachment.interface),
                    network=attachment.network,
                    family=family,
                    exactly="" if asked == _DYNAMIC else _plain(asked),
                )
            )
            if given is not None:
                # An answer without the address that was asked for is no address of anybody's.
                addresses.append(_plain(got or ""))
    return tuple(wishes), tuple(addresses)


def _plain(address: str) -> str:
    return address.partition("/")[0]
