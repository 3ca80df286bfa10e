"""The part of `lab bench controllers` that runs in a guest: small, and its figures say nothing."""

import os
from uuid import uuid4

import pytest
from pyroute2 import netns

from tests.lab.bench.controllers.damage import DAMAGES
from tests.lab.bench.controllers.guest import LinksJob, measure

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a netns")


async def test_each_damage_is_done_repaired_and_timed() -> None:
    """By a whole netwatcher, on one link and on all."""
    namespace = f"bench-{uuid4().hex[:12]}"
    netns.create(namespace)
    try:
        # Not every kernel that tests run on has VLANs; the guests of a real run have.
        job = LinksJob(
            vlans=0,
            vxlans=3,
            damages=list(DAMAGES),
            repeats=2,
            rest_s=0,
            namespace=namespace,
            quiet=True,
        )
        found = await measure(job)
    finally:
        netns.remove(namespace)
    assert [repair.damage for repair in found.repairs] == list(DAMAGES)
    assert all(repair.single.count == 2 and repair.all_s > 0 for repair in found.repairs)
    assert (found.rest_s, found.rest_cpu) == (0, 0)
