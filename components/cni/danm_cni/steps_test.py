"""Where the seconds of an ADD and DEL go: what is measured, and as what."""

import asyncio
import math
from pathlib import Path

import pytest

from danm_api.errors import DanmError, LinkSetupError
from danm_api.kube.api import DANMEPS
from danm_api.testing.samples import sample
from danm_cni.progress import Progress
from danm_cni.steps import Step, on_behalf_of, step
from danm_cni.testing.node import a_node

INTERNAL = [{"network": "internal", "ip": "dynamic"}]


def count(verb: str, of: str, result: str = "ok") -> float:
    """Return how often a step was counted."""
    return sample("danmd_step_duration_seconds_count", verb=verb, step=of, result=result)


def test_results_are_told_apart() -> None:
    """What went wrong and what took too long are other series than what went well."""
    before = [count("TEST", "plan", result) for result in ("ok", "error", "timeout")]
    with on_behalf_of("TEST"):
        with step(Step.PLAN):
            pass
        with pytest.raises(DanmError), step(Step.PLAN):
            raise DanmError("x")
        with pytest.raises(asyncio.CancelledError), step(Step.PLAN):
            raise asyncio.CancelledError
    after = [count("TEST", "plan", result) for result in ("ok", "error", "timeout")]
    assert after == [each + 1 for each in before]


def test_a_step_within_a_step_is_part_of_it() -> None:
    """The seconds of steps add up, so none is counted twice."""
    undone, removed = count("TEST", "undo"), count("TEST", "interfaces")
    with on_behalf_of("TEST"):
        with step(Step.UNDO), step(Step.REMOVE):
            pass
        with step(Step.REMOVE):
            pass
    assert count("TEST", "undo") == undone + 1
    assert count("TEST", "interfaces") == removed + 1


async def test_what_goes_on_is_still_for_the_same_verb() -> None:
    """A DEL that is finished after its answer is no upkeep."""
    before, upkeep = count("TEST", "release"), count("upkeep", "release")

    async def work() -> None:
        with step(Step.RELEASE):
            await asyncio.sleep(0)

    with on_behalf_of("TEST"):
        task = asyncio.create_task(work())
    await task
    assert (count("TEST", "release"), count("upkeep", "release")) == (before + 1, upkeep)
    await work()
    assert count("upkeep", "release") == upkeep + 1


def test_errors_of_an_add_say_the_step() -> None:
    """What it does is in words for people, what is counted is a label."""
    progress = Progress("x", deadline_s=math.inf)
    with step(Step.RESERVE, progress):
        assert progress.describe() == "waiting for addresses from ipam-svc"


async def test_steps_of_an_add_and_a_del(tmp_path: Path) -> None:
    """Each of them is there, for a person who asks where the time went."""
    added = ("turn", "pod", "plan", "journal", "reserve", "endpoints", "interfaces")
    deleted = ("turn", "journal", "interfaces", "endpoints", "release")
    async with a_node(tmp_path) as node:
        node.add_network("internal", host_device="ens3", cidr="198.18.0.0/24")
        node.add_pod(interfaces=INTERNAL)
        before = {each: count("ADD", each) for each in added}
        with on_behalf_of("ADD"):
            await node.add()
        assert all(count("ADD", each) > before[each] for each in added)
        before = {each: count("DEL", each) for each in deleted}
        await node.end_pod()
        with on_behalf_of("DEL"):
            await node.delete()
        assert all(count("DEL", each) > before[each] for each in deleted)


async def test_a_failed_add_shows_which_step_failed(tmp_path: Path) -> None:
    """That step has an error, and what was made is undone as one step."""
    async with a_node(tmp_path) as node:
        node.add_network("internal", host_device="ens3", cidr="198.18.0.0/24")
        node.add_pod(interfaces=INTERNAL)
        node.kube.fail_next("create", DANMEPS, LinkSetupError("no"))
        failed, undone = count("ADD", "endpoints", "error"), count("ADD", "undo")
        released = count("ADD", "release")
        with on_behalf_of("ADD"), pytest.raises(LinkSetupError):
            await node.add()
    assert count("ADD", "endpoints", "error") == failed + 1
    assert count("ADD", "undo") == undone + 1
    assert count("ADD", "release") == released


async def test_an_add_whose_time_is_over_shows_what_it_waited_for(tmp_path: Path) -> None:
    """That step's result is a time-out."""
    async with a_node(tmp_path) as node:
        node.add_network("internal", host_device="ens3", cidr="198.18.0.0/24")
        node.add_pod(interfaces=INTERNAL)
        gate = node.kube.hold_next("create", DANMEPS)
        before = count("ADD", "endpoints", "timeout")
        with on_behalf_of("ADD"), pytest.raises(DanmError, match="writing DanmEps"):
            await node.add(timeout_s=0.5)
        gate.open()
    assert count("ADD", "endpoints", "timeout") == before + 1
