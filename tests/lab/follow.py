"""How fast look-ups follow Pods: both seen by one clock, while a Deployment is scaled."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from tests.lab.cluster import Cluster
from tests.lab.errors import LabError
from tests.lab.process import wait_until

# New Pods start on busy emulated processors, and the runtime may try some twice.
_SETTLE_S: Final = 240.0
_POLL_S: Final = 0.1
# An answer may be seen so much before the event that caused it.
_EARLY_S: Final = 0.5
# Longer than everything that is watched; the program is ended before.
_WATCH_S: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Something seen at a time of this process' monotonic clock."""

    at: float
    what: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How long after a change of a Pod its address came or went."""

    pod: str
    address: str
    appeared: bool
    seconds: float

    def __str__(self) -> str:
        """Return one line for people."""
        change = "ready" if self.appeared else "marked for deletion"
        return f"{self.pod} {change}: look-up followed after {self.seconds:.2f} s ({self.address})"


@dataclass(slots=True)
class Stream:
    """JSON values that a command prints, with the time of each."""

    sightings: list[Sighting] = field(default_factory=list)

    def read(self, process: subprocess.Popen[str]) -> None:
        """Collect until the command ends."""
        decoder, buffer = json.JSONDecoder(), ""
        assert process.stdout is not None
        for line in process.stdout:
            buffer += line
            try:
                value, end = decoder.raw_decode(buffer.lstrip())
            except ValueError:
                continue
            buffer = buffer.lstrip()[end:]
            self.sightings.append(Sighting(at=time.monotonic(), what=value))


@contextmanager
def streaming(cluster: Cluster, *arguments: str) -> Iterator[Stream]:
    """Run kubectl in the background and collect what it prints."""
    process = subprocess.Popen(
        cluster.kubectl_command(*arguments),
        env=cluster.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    stream = Stream()
    reader = threading.Thread(target=stream.read, args=(process,), daemon=True)
    reader.start()
    try:
        yield stream
    finally:
        process.terminate()
        process.wait()
        reader.join()
        if process.stdout is not None:
            process.stdout.close()


def is_listed(pod: Mapping[str, Any]) -> bool:
    """Say whether a look-up should contain a Pod: ready, and without a deletion mark."""
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def membership_changes(events: Sequence[Sighting]) -> list[tuple[float, str, bool]]:
    """Return (time, Pod, appeared) for each change of what look-ups should contain. Pure."""
    listed: dict[str, bool] = {}
    changes = []
    for event in events:
        pod = event.what["object"]
        name = pod["metadata"]["name"]
        now = event.what["type"] != "DELETED" and is_listed(pod)
        before = listed.get(name)
        listed[name] = now
        # The first sighting of a Pod that is ready already is the state before, not a change.
        if before is not None and now != before:
            changes.append((event.at, name, now))
    return changes


def lags(
    changes: Sequence[tuple[float, str, bool]],
    answers: Sequence[Sighting],
    addresses: Mapping[str, str],
) -> list[Lag]:
    """Match each change with the answer that shows it. Pure.

    Each Pod appears and leaves at most once; its address may be another Pod's afterwards. An answer
    may be seen before the event that caused it, on another connection: that is no lag.

    Raises:
        LabError: A change was never followed.
    """
    found = []
    left: dict[str, float] = {}
    for position, (at, pod, appeared) in enumerate(changes):
        address = addresses[pod]
        begin = left.get(address, 0.0)
        end = _taken_again(changes[position + 1 :], addresses, address)
        present = [
            index
            for index, answer in enumerate(answers)
            if begin <= answer.at < end and address in answer.what
        ]
        if appeared:
            followed = next((answers[index].at for index in present), None)
        else:
            after_last = present[-1] + 1 if present else 0
            followed = next((answer.at for answer in answers[after_last:]), None)
        if followed is None:
            verb = "appeared in" if appeared else "left"
            raise LabError(f"{address} of {pod} never {verb} the look-ups.")
        if not appeared:
            left[address] = followed
        seconds = max(0.0, followed - at)
        found.append(Lag(pod=pod, address=address, appeared=appeared, seconds=seconds))
    return found


def _taken_again(
    changes: Sequence[tuple[float, str, bool]], addresses: Mapping[str, str], address: str
) -> float:
    """Return when answers may show an address for another Pod."""
    return next(
        (at - _EARLY_S for at, pod, appeared in changes if appeared and addresses[pod] == address),
        float("inf"),
    )


def follow_scaling(
    cluster: Cluster,
    *,
    asker: tuple[str, str],
    service: str,
    deployment: tuple[str, str],
    replicas: Sequence[int],
    addresses: Callable[[], Mapping[str, str]],
) -> list[Lag]:
    """Scale a Deployment step by step, and return how look-ups of its Service followed.

    Args:
        cluster: The cluster.
        asker: Namespace and name of a Pod with the demo's programs.
        service: The name to look up.
        deployment: Namespace and name.
        replicas: The steps.
        addresses: Gives the address of each Pod now.

    Raises:
        LabError: Look-ups never became what they should be.
    """
    namespace, name = deployment
    known: dict[str, str] = dict(addresses())
    watch = ("get", "pods", "-n", namespace, "-l", f"app={name}", "--watch")
    ask = ("python3", "/demo/lookup.py", service, "--watch", str(_WATCH_S))
    found: list[Lag] = []
    with (
        streaming(cluster, *watch, "--output-watch-events", "-o", "json") as events,
        streaming(cluster, "exec", "-n", asker[0], asker[1], "--", *ask) as answers,
    ):
        wait_until(lambda: bool(answers.sightings), what="A first look-up", timeout_s=_SETTLE_S)
        wait_until(
            lambda: len({e.what["object"]["metadata"]["name"] for e in events.sightings})
            >= len(known),
            what="The Pods are seen",
            timeout_s=_SETTLE_S,
        )
        for count in replicas:
            # Before the command: the first changes may be seen before it returns.
            before = len(membership_changes(events.sightings))
            expected = abs(count - len(set(answers.sightings[-1].what)))
            cluster.kubectl("scale", "deployment", name, "-n", namespace, f"--replicas={count}")

            def settled(wanted: int = before + expected, size: int = count) -> bool:
                changed = len(membership_changes(events.sightings)) >= wanted
                return changed and len(set(answers.sightings[-1].what)) == size

            wait_until(settled, what=f"{count} addresses", timeout_s=_SETTLE_S, poll_s=_POLL_S)
            known |= addresses()
        found += lags(membership_changes(events.sightings), answers.sightings, known)
    return found
