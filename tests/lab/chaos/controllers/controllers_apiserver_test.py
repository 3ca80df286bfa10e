"""Controllers end where the objects say, whatever broke meanwhile, on a real API server."""

import os
from pathlib import Path

import pytest

from tests.lab.binaries import Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.chaos.controllers.links import LinkSubject
from tests.lab.chaos.controllers.networks import NetworkSubject
from tests.lab.chaos.controllers.run import ControllerChaos, Result, run_controller
from tests.lab.chaos.controllers.services import ServiceSubject
from tests.lab.chaos.controllers.subject import Subject
from tests.lab.chaos.schedule import Kind
from tests.lab.progress import Progress

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

# What takes least time of what can do most harm; all of it, and other seeds: `./lab chaos
# controllers`.
_KINDS = (Kind.FREEZE_LEADER, Kind.KILL, Kind.API_LOSE_ANSWERS, Kind.FORGET)
_SEED = 1
# The promise is 30 s, which the command holds them to; here the machine has other work.
_GRACE_S = 120.0


@pytest.mark.parametrize(
    ("subject", "changes"),
    [
        pytest.param(ServiceSubject(crowd=110), 300, id="services"),
        pytest.param(NetworkSubject(), 150, id="networks"),
        pytest.param(
            LinkSubject(),
            200,
            id="links",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a netns"),
        ),
    ],
)
async def test_after_quiet_the_world_is_what_the_objects_say(
    tmp_path: Path, subject: Subject, changes: int
) -> None:
    """What follows from the objects is there, no more and no less, and others' objects as before.

    A leader slept beyond its Lease, replicas were killed, answers were lost, and a replica missed
    what nobody remembers.
    """
    # SPEC N1 to N5, S1 to S4; DESIGN "Controllers", P2, P7
    results: list[Result] = []
    await run_controller(
        ControllerChaos(
            directory=tmp_path,
            binaries=Binaries(Cache(directory=default_cache_directory()), Progress()),
            only=_KINDS,
            changes=changes,
            grace_s=_GRACE_S,
        ),
        subject,
        seed=_SEED,
        rounds=1,
        tell=results.append,
    )
    (result,) = results
    assert [str(each) for each in result.differences] == []
    assert result.changes >= changes
    assert result.faults > 0
