"""All parts go from the previous release to this one and back under load.

On a lab without DANM it is the first of the end-to-end tests: what is installed here is the
previous release, and what is left of it on a bare lab is seen at its end.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.conftest import Tenant, eventually, tenancy
from tests.e2e.ipam_callers import calling
from tests.e2e.left_over import Bare, look, remaining
from tests.e2e.pod_load import PodLoad
from tests.e2e.talk import Talk, told_gaps
from tests.e2e.update_counts import Moment, held_twice, table, told_twice, unanswered_share
from tests.ipam import load
from tests.lab.chaos.cni.objects import endpoint_of
from tests.lab.cluster import objects
from tests.lab.demo_cli import (
    LOCAL_PREFIX,
    installation_on_lab,
    prepare_images,
    state_directory,
)
from tests.lab.installation import Installation, image_names
from tests.lab.lab import Lab
from tests.lab.previous import previous_images
from tests.lab.topology import NODES

# The sources of the release before this one: build-support/previous-release.
_PREVIOUS: Final = os.environ.get("DANM_PREVIOUS_RELEASE", "")
_NAMESPACE: Final = "update"
_INNER, _OUTER, _FAR = "10.78.0", "10.79.0", "10.80.0"
_TWO: Final = json.dumps(
    [{"network": "outer", "ip": "dynamic"}, {"network": "inner", "ip": "dynamic"}]
)
# Two nodes, one after the other, on a machine that Pods and another lab keep busy as well.
_ROLLOUT_S: Final = 600.0
_LOAD_S: Final = 180.0
_LOOK_EVERY_S: Final = 2.0
# The cluster's name server is none of DANM's parts, and on a node that stands still it answers
# late: 7 % of the look-ups had no answer within 5 s (docs/updates.md).
_MOST_UNANSWERED: Final = 0.2

pytestmark = pytest.mark.skipif(
    not _PREVIOUS, reason="DANM_PREVIOUS_RELEASE does not name the previous release"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A lab, and both releases for it.

    Attributes:
        bare: What it has without DANM.
        previous: The release before this one, which is installed.
        present: This tree's.
    """

    bare: Bare
    previous: Installation
    present: Installation


@pytest.fixture(scope="module")
def stage(lab: Lab) -> Stage:
    """The previous release on the lab."""
    prepare_images(lab)
    tree = Path(_PREVIOUS)
    images = previous_images(
        lab.images,
        tree,
        present=image_names(LOCAL_PREFIX),
        cache=lab.cache,
        progress=lab.progress,
    )
    # Before its start, where it is down: a node boots with images sooner than it gets them later.
    lab.load_images(list(images.values()))
    present = installation_on_lab(lab, rollout_s=_ROLLOUT_S)
    bare = Bare.of(lab)
    previous = Installation(
        lab,
        tree,
        lab.progress,
        work=state_directory(lab.name) / "previous",
        prefix=LOCAL_PREFIX,
        images=images,
        rollout_s=_ROLLOUT_S,
    )
    previous.install()
    return Stage(bare=bare, previous=previous, present=present)


@dataclass(slots=True)
class Twice:
    """Looks for addresses that two have at one moment, until it is told to stop.

    Attributes:
        found: Each in words.
        looks: How often all DanmEps were compared.
    """

    cluster: Lab
    namespace: str
    found: set[str] = field(default_factory=set)
    looks: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Compare DanmEps; a list is of one moment."""
        while not self._stop.wait(_LOOK_EVERY_S):
            raws = objects(self.cluster, "danmeps", "-n", self.namespace)
            self.found |= told_twice([endpoint_of(raw) for raw in raws])
            self.looks += 1

    def look_at_nodes(self) -> None:
        """Compare what the kernels have."""
        self.found |= held_twice(look(self.cluster), [_INNER, _OUTER, _FAR])

    @contextmanager
    def running(self) -> Iterator[None]:
        """Compare in the background."""
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(self.run)
            try:
                yield
            finally:
                self._stop.set()
            running.result()


def networks(tenant: Tenant) -> Talk:
    """Create three networks, and return the Pods that talk over two of them."""
    tenant.network("outer", vlan=331, cidr=f"{_OUTER}.0/24", container_prefix="eth0")
    tenant.network("inner", host_device="ens3", vxlan=631, cidr=f"{_INNER}.0/24")
    tenant.network("far", vlan=332, cidr=f"{_FAR}.0/24")
    tenant.apply(
        {
            "apiVersion": "danm.k8s.io/v1",
            "kind": "DanmNet",
            "metadata": {"name": "management"},
            "spec": {"NetworkID": "management", "NetworkType": "flannel"},
        }
    )
    return Talk(
        tenant=tenant,
        eth0="management",
        prefixes={"inner": _INNER, "far": _FAR},
        served="inner",
    )


def now(pods: PodLoad, talk: Talk) -> Moment:
    """Return what has happened up to now."""
    talked = talk.counts()
    return Moment(
        at=time.monotonic(),
        pods=pods.ended(),
        failed_adds=sum(pods.failed_adds().values()),
        failed_pods=pods.failed(),
        received=talked.received,
        lost=talked.lost,
        overruns=talked.overruns,
        looked_up=talked.looked_up,
        wrong=talked.wrong,
        unanswered=talked.unanswered,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What was counted of an update and of the way back.

    Attributes:
        moments: Before the update, after it, and after the way back.
        missed: Packets that were sent last and did not come.
        gaps: When packets did not come, in words.
        report: What callers of ipam-svc saw.
        twice: Addresses that two Pods had at one moment.
        looks: How often they were looked for.
        failed_adds: What kubelet said of sandboxes that it could not create.
        left: What was left without Pods and DanmNets.
    """

    moments: list[Moment]
    missed: int
    gaps: list[str]
    report: load.Report
    twice: set[str]
    looks: int
    failed_adds: dict[str, int]
    left: list[str]

    def __str__(self) -> str:
        """Show it in Markdown."""
        report = self.report
        totals = {
            "packets lost at the end": self.missed,
            "reservations and releases": report.operations,
            "the longest of them, in s": f"{report.longest_s:.1f}",
            "failed ones": len(report.failed),
            f"set aside ({report.stalls})": len(report.set_aside),
            "addresses doubled, lost or leaked": len(report.faults) - len(report.failed),
            "addresses of two Pods at once": len(self.twice),
            "times that they were looked for": self.looks,
            "left over": len(self.left),
        }
        return table(self.moments, ["update", "roll-back"], totals)


def updated(stage: Stage, lab: Lab, tenant: Tenant, directory: Path) -> Update:
    """Update and roll back under load, and return what was counted."""
    talk, pods = networks(tenant), PodLoad(tenant=tenant, annotation=_TWO)
    twice = Twice(lab, _NAMESPACE)
    with calling(lab, tenant, directory) as called, twice.running():
        talk.start()
        pods.start()
        eventually(lambda: min(pods.counts().values()) > 0, "Pods come and go", _LOAD_S)
        moments = [now(pods, talk)]
        stage.present.define()
        for release in (stage.present, stage.previous):
            release.install()
            before = pods.counts()
            eventually(partial(pods.have_more_than, before), "They still do", _LOAD_S)
            twice.look_at_nodes()
            moments.append(now(pods, talk))
        pods.stop()
        missed = talk.stop()
        gaps = told_gaps(talk.states())
    failed_adds = pods.failed_adds()
    return Update(
        moments=moments,
        missed=missed,
        gaps=gaps,
        report=called.report,
        twice=twice.found,
        looks=twice.looks,
        failed_adds=failed_adds,
        left=stage.bare.left_when_emptied(lab, _NAMESPACE),
    )


def test_update_and_roll_back_under_load(lab: Lab, stage: Stage, tmp_path: Path) -> None:
    """`kubectl apply -k` of this release, and then of the previous one: nobody notices anything."""
    with tenancy(lab, _NAMESPACE) as tenant:
        update = updated(stage, lab, tenant, tmp_path)
    print(f"\n{update}", *update.gaps, *update.failed_adds, sep="\n")
    before, after = update.moments[0], update.moments[-1]
    assert after.pods > before.pods
    assert after.received > before.received
    assert after.looked_up > before.looked_up
    assert update.report.operations > 0
    assert update.looks > 0

    assert update.failed_adds == {}
    assert after.failed_pods == 0
    assert (after.lost, update.missed) == (0, 0)
    assert after.wrong == 0
    assert unanswered_share(before, after) <= _MOST_UNANSWERED
    assert update.report.faults == []
    assert update.twice == set()
    assert update.left == []


def test_uninstall_and_reinstall(lab: Lab, stage: Stage, request: pytest.FixtureRequest) -> None:
    """Nothing of DANM is left, and what is installed anew works and leaves nothing of its Pods."""
    stage.previous.uninstall()
    left = remaining(partial(stage.bare.left_of_danm, lab))
    request.getfixturevalue("installation")
    with tenancy(lab, _NAMESPACE) as tenant:
        networks(tenant)
        names = [f"again-{node.index}" for node in NODES]
        for name, node in zip(names, NODES, strict=True):
            tenant.pod(name, _TWO, node=node.name)
        eventually(
            lambda: all(tenant.phase(name) == "Running" for name in names), "Pods run", _LOAD_S
        )
        left_of_pods = stage.bare.left_when_emptied(lab, _NAMESPACE)
    print(f"\nleft over: {len(left)} after uninstalling, {len(left_of_pods)} after reinstalling")
    assert left == []
    assert left_of_pods == []
