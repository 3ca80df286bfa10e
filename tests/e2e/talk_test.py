"""The program that two Pods run, on loopback addresses, and what is counted of it."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.e2e import talker
from tests.e2e.talk import Received, TalkerState, missed_at_the_end, talk_counts, told_gaps
from tests.lab.apiserver import free_ports

_WITHIN_S: Final = 60.0
_POLL_S: Final = 0.05
_HERE: Final = "127.0.0.1"
# Packets: ten a second, and two look-ups.
_LONGER_THAN_A_LOOK_UP: Final = 15


def _seen(*, sent: dict[str, int], received: dict[str, Received], overruns: int = 0) -> TalkerState:
    return TalkerState(
        sent=sent,
        refused=0,
        again=0,
        gaps=[],
        overruns=overruns,
        received=received,
        looked_up=7,
        unanswered=1,
        wrong=2,
        examples=[],
    )


def test_what_did_not_come_is_lost() -> None:
    """Numbers that are missing between others are lost, whatever came before the first."""
    states = [
        _seen(sent={}, received={"10.0.0.2": Received(first=5, last=20, count=13)}),
        _seen(sent={}, received={"10.0.0.1": Received(first=1, last=4, count=4)}),
    ]
    counts = talk_counts(states)
    assert (counts.received, counts.lost) == (17, 3)
    assert (counts.looked_up, counts.wrong, counts.unanswered) == (14, 4, 2)


@pytest.mark.parametrize(("overruns", "lost"), [(0, 10), (4, 6), (12, 0)])
def test_what_a_pod_was_too_slow_to_take_is_not_lost(overruns: int, lost: int) -> None:
    """It had come; a Pod that stands still for seconds fills its socket."""
    received = {source: Received(first=1, last=20, count=15) for source in ("10.0.0.2", "10.0.1.2")}
    states = [
        _seen(sent={}, received=received, overruns=overruns),
        _seen(sent={}, received={}),
    ]
    counts = talk_counts(states)
    assert (counts.lost, counts.overruns) == (lost, overruns)


def test_a_socket_that_is_full_is_counted() -> None:
    """The kernel says so for the network namespace."""
    before = talker.overruns()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        receiver.bind((_HERE, 0))
        for _ in range(100):
            sender.sendto(b"x" * 1000, receiver.getsockname())
    assert talker.overruns() > before


def test_what_was_sent_last_is_missed() -> None:
    """Each network's packets are compared with the sender's count of the same network."""
    owners = {"10.0.0.1": "a", "10.0.1.1": "a", "10.0.0.2": "b", "10.0.1.2": "b"}
    states = {
        "a": _seen(
            sent={"10.0.0.2": 9, "10.0.1.2": 8},
            received={"10.0.0.2": Received(first=1, last=5, count=5)},
        ),
        "b": _seen(
            sent={"10.0.0.1": 7, "10.0.1.1": 7},
            received={
                "10.0.0.1": Received(first=1, last=9, count=9),
                "10.0.1.1": Received(first=1, last=7, count=7),
            },
        ),
    }
    assert missed_at_the_end(states, owners) == (7 - 5) + (8 - 7)


@asynccontextmanager
async def _program(config: dict[str, Any]) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", Path(talker.__file__).read_text(), json.dumps(config)
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def _until(state: Path, condition: Callable[[TalkerState], bool]) -> TalkerState:
    """Wait for what a program tells."""
    async with asyncio.timeout(_WITHIN_S):
        while True:
            if state.exists():
                found = msgspec.json.decode(state.read_bytes(), type=TalkerState)
                if condition(found):
                    return found
            await asyncio.sleep(_POLL_S)


def _config(directory: Path, **more: object) -> dict[str, Any]:
    (port,) = free_ports(1)
    return {
        "port": port,
        "peers": [_HERE],
        "name": "localhost",
        "expected": [_HERE],
        "state": str(directory / "state"),
        "stop": str(directory / "stop"),
        **more,
    }


async def test_it_counts_packets_and_look_ups(tmp_path: Path) -> None:
    """It hears all that it sends itself, finds what it must, and sends no more when it is told."""
    state = tmp_path / "state"
    async with _program(_config(tmp_path)):
        seen = await _until(state, lambda told: bool(told.looked_up and told.received))
        assert (seen.wrong, seen.again, seen.refused) == (0, 0, 0)
        (tmp_path / "stop").touch()

        def is_quiet(told: TalkerState) -> bool:
            nonlocal seen
            before, seen = seen, told
            return (before.sent, before.looked_up) == (told.sent, told.looked_up - 1)

        await _until(state, is_quiet)
    assert seen.received[_HERE].gaps == 0
    assert missed_at_the_end({"a": seen}, {_HERE: "a"}) == 0


async def test_it_says_when_packets_did_not_come(tmp_path: Path) -> None:
    """A gap is told with its length, its sender and the time of its end."""
    state, other = tmp_path / "state", "127.0.0.2"
    config = _config(tmp_path, peers=[])
    async with _program(config):
        await _until(state, lambda told: told.looked_up > 0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((other, 0))
            for number in (7, 8, 12, 10, 13):
                sender.sendto(number.to_bytes(8), (_HERE, config["port"]))
        seen = await _until(
            state, lambda told: other in told.received and told.received[other].count == 5
        )
    assert seen.received[other].gaps == 2
    ((_, missing, source),) = seen.gaps
    assert (missing, source) == (3, other)
    (told,) = told_gaps({"talker-1": seen})
    assert told.endswith("talker-1: 3 missing from 127.0.0.2")


async def test_a_name_in_the_making_is_not_counted(tmp_path: Path) -> None:
    """Look-ups count from the first right answer on."""
    state = tmp_path / "state"
    async with _program(_config(tmp_path, expected=["192.0.2.1"])):
        seen = await _until(state, lambda told: told.sent[_HERE] > _LONGER_THAN_A_LOOK_UP)
    assert (seen.looked_up, seen.wrong) == (0, 0)
