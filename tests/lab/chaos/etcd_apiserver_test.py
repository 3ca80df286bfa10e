"""What a run asks of etcd, on a real one."""

from pathlib import Path

import pytest

from tests.lab.apiserver import ApiServer
from tests.lab.chaos.etcd import current_revision, forget_history
from tests.lab.errors import LabError

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]


async def test_history_is_forgotten_once(tmp_path: Path) -> None:
    """What is forgotten already is no failure; what never was is one."""
    with ApiServer.start(tmp_path) as server:
        revision = await current_revision(server.etcd_url)
        assert revision > 1
        await forget_history(server.etcd_url, revision)
        await forget_history(server.etcd_url, revision)
        with pytest.raises(LabError, match="future revision"):
            await forget_history(server.etcd_url, revision + 1_000_000)
