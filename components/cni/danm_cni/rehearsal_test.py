"""What keeps a danmd from taking another one's place, and what does not."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from danm_api.errors import ApiError, ApiUnavailableError, DanmError
from danm_api.kube.api import DANMEPS, PODS
from danm_cni.installation import CONFIG_NAME, Installation
from danm_cni.rehearsal import rehearse
from danm_cni.testing.demo import INTERNAL
from danm_cni.testing.node import FakeNode, a_node, config_for


async def _rehearse(node: FakeNode) -> None:
    """Rehearse on the disk of a danmd that serves."""
    installation = Installation(node.config.paths, fallback=node.config.fallback)
    await rehearse(node.config, installation=installation, to_read=node.daemon.to_read)


def _files(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return what is on the node's disk: which file has which content."""
    return {
        str(each): (each.stat().st_ino, each.read_bytes())
        for each in root.rglob("*")
        if each.is_file()
    }


def _spoil(directory: Path, *, records: int) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(records):
        (directory / f"c-{number}.json").write_text('{"container_id": 7}')


def _without_executable(node: FakeNode) -> None:
    (node.root / "image/fakeipam").unlink()


def _without_plugin_directory(node: FakeNode) -> None:
    (node.root / "opt/cni/bin").rmdir()
    (node.root / "opt/cni/bin").touch()


def _without_configuration_directory(node: FakeNode) -> None:
    (node.root / "etc/cni/net.d").rmdir()
    (node.root / "etc/cni/net.d").touch()


def _with_foreign_journal(node: FakeNode) -> None:
    _spoil(node.config.paths.journal, records=2)


def _with_foreign_allocations(node: FakeNode) -> None:
    _spoil(node.config.paths.allocations, records=2)


def _without_attempts(node: FakeNode) -> None:
    node.config.paths.attempts.mkdir()


def _without_rights(node: FakeNode) -> None:
    node.kube.fail_next("list", DANMEPS, ApiError("not allowed", status=403), times=10**6)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_without_executable, "fakeipam"),
        (_without_plugin_directory, "opt/cni/bin"),
        (_without_configuration_directory, "etc/cni/net.d"),
        (_with_foreign_journal, "2 of 2 records of .*journal"),
        (_with_foreign_allocations, "2 of 2 records of .*allocations"),
        (_without_attempts, "attempts"),
        (_without_rights, "not allowed"),
    ],
)
async def test_what_would_end_it_in_its_turn_ends_it_before(
    tmp_path: Path, spoil: Callable[[FakeNode], None], told: str
) -> None:
    """It says why, and the danmd that serves finds all that it has as it was."""
    # docs/decisions/0021
    node = FakeNode(tmp_path)
    spoil(node)
    before = _files(tmp_path)
    with pytest.raises((DanmError, OSError), match=told):
        await _rehearse(node)
    assert _files(tmp_path) == before


@contextmanager
def _disk_takes(size: int) -> Iterator[None]:
    """Let this process write no file that is longer, in bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_ends_it_before(tmp_path: Path) -> None:
    """No ADD could be served, since each is written down first."""
    node = FakeNode(tmp_path)
    # The log of it, and a byte less than what is tried.
    with _disk_takes(4095), pytest.raises(OSError, match="File too large"):
        await _rehearse(node)
    assert [] == [each.name for each in node.config.paths.state.iterdir() if each.is_file()]


@pytest.mark.parametrize("ipam_only", [False, True])
async def test_nothing_is_changed_where_another_one_serves(
    tmp_path: Path, *, ipam_only: bool
) -> None:
    """Neither its records nor what it is just writing, nor what is installed on the node."""
    # docs/decisions/0021
    async with a_node(tmp_path) as node:
        node.write_cni_config("10-first.conf", {"type": "x"})
        node.add_network("internal", host_device="ens3", cidr="10.240.1.0/24")
        node.add_pod(interfaces=[INTERNAL])
        await node.knows_networks(1)
        await node.add()
        (node.config.paths.journal / ".c1.json.1.2").write_text("half a rec")
        (node.config.paths.tombstones / "c2").write_text("no frame")
        before = _files(tmp_path)
        node.config = replace(node.config, ipam_only=ipam_only)
        await _rehearse(node)
        assert _files(tmp_path) == before
        await node.end_pod()
        await node.delete()
        assert {} == node.leftovers()


async def test_what_is_set_aside_in_its_turn_does_not_hold_it_up(tmp_path: Path) -> None:
    """One record that is spoilt, some among many, or one that the other danmd is done with."""
    async with a_node(tmp_path) as node:
        journal = node.config.paths.journal
        _spoil(journal, records=1)
        (journal / "c-gone.json").symlink_to("nowhere")
        await _rehearse(node)
        node.add_network("internal", host_device="ens3", cidr="10.240.1.0/24")
        await node.knows_networks(1)
        for name in ("a", "b", "c"):
            node.add_pod(name, interfaces=[INTERNAL])
            await node.add(f"c-{name}", pod=name)
        _spoil(journal, records=2)
        (journal / "c-none.json").mkdir()
        await _rehearse(node)


async def test_an_api_server_that_is_away_is_waited_for(tmp_path: Path) -> None:
    """Its answer may be a refusal."""
    node = FakeNode(tmp_path)
    node.kube.fail_next("list", PODS, ApiUnavailableError("away", status=0), times=2)
    await _rehearse(node)
    assert node.kube.calls["list", "pods"] == 3


async def test_with_ipam_only_less_is_tried(tmp_path: Path) -> None:
    """There is no CNI configuration to write, and no executable but fakeipam."""
    # SPEC F2
    node = FakeNode(tmp_path)
    node.config = replace(node.config, ipam_only=True)
    (node.root / "image/danm").unlink()
    _without_configuration_directory(node)
    await _rehearse(node)
    assert not (node.root / "opt/cni/bin/fakeipam").exists()


async def test_without_an_installation_the_host_is_not_looked_at(tmp_path: Path) -> None:
    """Whoever installs by other means has danmd leave the host's directories alone."""
    node = FakeNode(tmp_path)
    node.config = replace(node.config, install=False)
    _without_plugin_directory(node)
    await _rehearse(node)
    assert not (node.root / "etc/cni/net.d" / CONFIG_NAME).exists()


def test_a_rehearsal_asks_for_no_more_than_what_follows(tmp_path: Path) -> None:
    """What the host has already need not be writable there; what is new must be."""
    # docs/decisions/0021
    installation = Installation(config_for(tmp_path).paths, fallback=None)
    installation.install_executables()
    installation.write_configuration()
    with _disk_takes(0):
        installation.rehearse(configuration=True)
    (tmp_path / "image/danm").write_bytes(b"newer")
    with _disk_takes(0), pytest.raises(OSError, match="File too large"):
        installation.rehearse(configuration=True)
    assert (tmp_path / "opt/cni/bin/danm").read_bytes() == b"danm"
    assert {"danm", "fakeipam"} == {each.name for each in (tmp_path / "opt/cni/bin").iterdir()}


def test_a_rehearsal_chooses_no_fallback(tmp_path: Path) -> None:
    """The choice is the installation's: it is made once, and stays."""
    installation = Installation(config_for(tmp_path).paths, fallback=None)
    directory = tmp_path / "etc/cni/net.d"
    (directory / "10-first.conf").write_text('{"type": "first"}')
    installation.rehearse(configuration=True)
    (directory / "05-earlier.conf").write_text('{"type": "earlier"}')
    fallback = installation.fallback.find()
    assert fallback is not None
    assert fallback.path.name == "05-earlier.conf"
