"""What is put onto a node and taken off it."""

import fcntl
import logging
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from danm_cni.installation import CONFIG_NAME, Installation
from danm_cni.testing.node import config_for, messages_of


def _installation(
    root: Path,
    *,
    fallback: str | None = None,
    pod_uid: str = "",
    now: Callable[[], float] = time.monotonic,
) -> Installation:
    return Installation(config_for(root).paths, fallback=fallback, pod_uid=pod_uid, now=now)


def _write(root: Path, name: str, content: object) -> None:
    directory = root / "etc/cni/net.d"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(msgspec.json.encode(content))


def test_executables_and_configuration(tmp_path: Path) -> None:
    """Executables may be executed, the configuration is first, and nothing else is left."""
    _write(tmp_path, "10-flannel.conf", {"type": "flannel"})
    installation = _installation(tmp_path)
    installation.install_executables()
    installation.write_configuration()
    binary = tmp_path / "opt/cni/bin/danm"
    assert (binary.read_bytes(), binary.stat().st_mode & 0o777) == (b"danm", 0o755)
    names = sorted(each.name for each in (tmp_path / "etc/cni/net.d").iterdir())
    assert [CONFIG_NAME, "10-flannel.conf"] == names
    config = msgspec.json.decode((tmp_path / "etc/cni/net.d" / CONFIG_NAME).read_bytes())
    plugin = {"type": "danm", "capabilities": {"mac": True}}
    # SPEC C7: what DANM's own interfaces can do, and nothing else
    assert {
        "cniVersion": "1.0.0",
        "cniVersions": ["1.0.0", "1.1.0"],
        "name": "danm",
        "plugins": [plugin],
    } == config


def test_a_version_that_was_chosen_is_the_only_one(tmp_path: Path) -> None:
    """An administrator's choice holds, whatever the runtime knows."""
    paths = config_for(tmp_path).paths
    Installation(paths, fallback="none", cni_version="0.4.0").write_configuration()
    config = msgspec.json.decode((tmp_path / "etc/cni/net.d" / CONFIG_NAME).read_bytes())
    assert (config["cniVersion"], "cniVersions" in config) == ("0.4.0", False)


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    """A restart rewrites neither executables nor configuration that are the same."""
    installation = _installation(tmp_path)
    paths = [tmp_path / "opt/cni/bin/danm", tmp_path / "etc/cni/net.d" / CONFIG_NAME]
    installation.install_executables()
    installation.write_configuration()
    inodes = [path.stat().st_ino for path in paths]
    installation.install_executables()
    installation.write_configuration()
    assert inodes == [path.stat().st_ino for path in paths]


def test_an_executable_that_runs_is_replaced(tmp_path: Path) -> None:
    """After a reboot the runtime's first calls may hang in the old one; the new one comes."""
    # Peers' complaint 10: an installer that writes into the file gets "Text file busy".
    sleep = shutil.which("sleep")
    assert sleep is not None
    installation = _installation(tmp_path)
    target = tmp_path / "opt/cni/bin/danm"
    shutil.copy(sleep, target)
    with subprocess.Popen([target, "1000"]) as old:
        try:
            installation.install_executables()
            assert old.poll() is None
        finally:
            old.kill()
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"danm", 0o755)


def test_who_has_a_file_open_never_sees_half_of_the_next(tmp_path: Path) -> None:
    """Executables and configuration are replaced as wholes: what was opened before stays whole."""
    # Peers' complaint 10
    installation = _installation(tmp_path)
    paths = [tmp_path / "opt/cni/bin/danm", tmp_path / "etc/cni/net.d" / CONFIG_NAME]
    for path in paths:
        path.write_bytes(b"old")
    opened = [path.open("rb") for path in paths]
    installation.install_executables()
    installation.write_configuration()
    for file in opened:
        with file:
            assert file.read() == b"old"
    assert all(path.read_bytes() != b"old" for path in paths)


def test_capabilities_of_the_fallback_are_asked_for(tmp_path: Path) -> None:
    """The runtime passes host ports and the like only to configurations that declare them."""
    plugins = [{"type": "bridge"}, {"type": "portmap", "capabilities": {"portMappings": True}}]
    _write(tmp_path, "10-x.conflist", {"cniVersion": "1.0.0", "name": "x", "plugins": plugins})
    _installation(tmp_path).write_configuration()
    config = msgspec.json.decode((tmp_path / "etc/cni/net.d" / CONFIG_NAME).read_bytes())
    # SPEC B2
    assert {"mac": True, "portMappings": True} == config["plugins"][0]["capabilities"]


def test_capabilities_of_static_types_are_asked_for(tmp_path: Path) -> None:
    """Host ports of Pods on a static type's network need them as those of the fallback do."""
    portmap = {"type": "portmap", "capabilities": {"portMappings": True, "dns": False}}
    keys = {"cniVersion": "1.0.0", "name": "x", "plugins": [{"type": "bridge"}, portmap]}
    _write(tmp_path, "flannel.conflist", keys)
    _write(tmp_path, "shaped.conf", {"type": "x", "capabilities": {"bandwidth": True}})
    _write(tmp_path, "broken.conf", [])
    _installation(tmp_path, fallback="none").write_configuration()
    config = msgspec.json.decode((tmp_path / "etc/cni/net.d" / CONFIG_NAME).read_bytes())
    expected = {"mac": True, "portMappings": True, "bandwidth": True}
    assert expected == config["plugins"][0]["capabilities"]


def _declared(root: Path) -> object:
    data = (root / "etc/cni/net.d" / CONFIG_NAME).read_bytes()
    return msgspec.json.decode(data)["plugins"][0]["capabilities"]


def test_a_file_that_comes_later_is_declared_without_a_restart(tmp_path: Path) -> None:
    """So are one that is written anew, a link whose file changes, and one that goes."""
    # SPEC C7
    installation = _installation(tmp_path, fallback="none")
    installation.write_configuration()
    assert {"mac": True} == _declared(tmp_path)
    _write(tmp_path, "late.conf", {"type": "x", "capabilities": {"bandwidth": True}})
    installation.refresh_configuration()
    assert {"mac": True, "bandwidth": True} == _declared(tmp_path)
    _write(tmp_path, "late.conf", {"type": "x", "capabilities": {"portMappings": True}})
    installation.refresh_configuration()
    assert {"mac": True, "portMappings": True} == _declared(tmp_path)
    (tmp_path / "store").mkdir()
    (tmp_path / "store/x").write_text('{"type":"x"}')
    (tmp_path / "etc/cni/net.d/link.conf").symlink_to("/store/x")
    installation.refresh_configuration()
    (tmp_path / "store/x").write_text('{"type":"x","capabilities":{"aliases":true}}')
    installation.refresh_configuration()
    assert {"mac": True, "portMappings": True, "aliases": True} == _declared(tmp_path)
    (tmp_path / "etc/cni/net.d/link.conf").unlink()
    (tmp_path / "etc/cni/net.d/late.conf").unlink()
    installation.refresh_configuration()
    assert {"mac": True} == _declared(tmp_path)


def test_plugins_in_a_lists_folder_are_declared(tmp_path: Path) -> None:
    """They join the list when it is called, so what they can do counts, now and later."""
    # CNI 1.1.0, section 1: loadOnlyInlinedPlugins
    _write(tmp_path, "x.conflist", {"name": "net", "plugins": [{"type": "a"}]})
    folder = tmp_path / "etc/cni/net.d/net"
    folder.mkdir()
    (folder / "10.conf").write_text('{"type":"b","capabilities":{"portMappings":true}}')
    installation = _installation(tmp_path, fallback="none")
    installation.write_configuration()
    assert {"mac": True, "portMappings": True} == _declared(tmp_path)
    (folder / "20.conf").write_text('{"type":"c","capabilities":{"bandwidth":true}}')
    installation.refresh_configuration()
    assert {"mac": True, "portMappings": True, "bandwidth": True} == _declared(tmp_path)


def test_the_administrators_fallback_is_followed_wherever_it_is(tmp_path: Path) -> None:
    """It need not be in the runtime's directory."""
    path = tmp_path / "opt/fallback.conf"
    installation = _installation(tmp_path, fallback="/opt/fallback.conf")
    path.write_text('{"type":"x"}')
    installation.write_configuration()
    path.write_text('{"type":"x","capabilities":{"portMappings":true}}')
    installation.refresh_configuration()
    assert {"mac": True, "portMappings": True} == _declared(tmp_path)


def test_what_has_not_changed_is_not_read_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken file is complained of once, not for ever."""
    _write(tmp_path, "broken.conf", [])
    installation = _installation(tmp_path, fallback="none")
    with caplog.at_level(logging.WARNING):
        installation.write_configuration()
        for _ in range(3):
            installation.refresh_configuration()
    assert ["CNI configuration is not usable"] == messages_of(caplog.records)


def test_a_configuration_that_was_taken_off_does_not_come_back(tmp_path: Path) -> None:
    """Whoever uninstalls does it beside a danmd that runs, and has the last word."""
    installation = _installation(tmp_path)
    _write(tmp_path, "early.conf", {"type": "x"})
    # Not even before this danmd has written its own: what an older one wrote stays until then.
    (tmp_path / "etc/cni/net.d" / CONFIG_NAME).write_bytes(b"{}")
    installation.refresh_configuration()
    assert (tmp_path / "etc/cni/net.d" / CONFIG_NAME).read_bytes() == b"{}"
    installation.write_configuration()
    _installation(tmp_path).uninstall()
    _write(tmp_path, "late.conf", {"type": "x", "capabilities": {"bandwidth": True}})
    installation.refresh_configuration()
    assert not installation.has_configuration
    shutil.rmtree(tmp_path / "etc/cni/net.d")
    installation.refresh_configuration()
    _installation(tmp_path).uninstall()


@pytest.mark.parametrize("act", [Installation.uninstall, Installation.write_configuration])
def test_writing_and_taking_off_wait_for_each_other(
    tmp_path: Path, act: Callable[[Installation], None]
) -> None:
    """Two processes do it: a configuration is never written after its removal was decided."""
    installation = _installation(tmp_path)
    installation.write_configuration()
    directory = tmp_path / "etc/cni/net.d"
    own = directory / CONFIG_NAME
    own.write_bytes(b"{}")
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        other = threading.Thread(target=act, args=(installation,))
        other.start()
        _wait_for_lock(directory.stat().st_ino)
        assert own.read_bytes() == b"{}"
    finally:
        os.close(descriptor)
    other.join(timeout=10)
    assert not other.is_alive()
    assert not own.exists() or own.read_bytes() != b"{}"


def _wait_for_lock(inode: int) -> None:
    """Wait until somebody waits for the lock on a file (proc(5), locks)."""
    deadline_s = time.monotonic() + 10
    while not any(
        "->" in line and f":{inode} " in line
        for line in Path("/proc/locks").read_text().splitlines()
    ):
        assert time.monotonic() < deadline_s, "nobody waits for the lock"


def test_a_file_that_comes_before_the_fallback_later_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """DANM may come to a node before the cluster's plugin: then somebody has to say which it is."""
    _write(tmp_path, "87-podman.conflist", {"plugins": [{"type": "bridge"}]})
    installation = _installation(tmp_path)
    message = "A CNI configuration that came later would be the first"
    with caplog.at_level(logging.INFO):
        installation.write_configuration()
        assert message not in messages_of(caplog.records)
        _write(tmp_path, "10-calico.conflist", {"plugins": [{"type": "calico"}]})
        installation.refresh_configuration()
    assert messages_of(caplog.records).count(message) == 1
    (line,) = (each for each in caplog.records if message in messages_of([each]))
    assert "DANM_FALLBACK_CONFIG" in str(vars(line))


def test_the_fallback_is_looked_after_whether_or_not_pods_come(tmp_path: Path) -> None:
    """It is the node's first file as DANM comes; how long that is missing is known by itself."""
    # SPEC B2
    _write(tmp_path, "10-calico.conflist", {"plugins": [{"type": "calico"}]})
    times = iter([1000.0, 1100.0])
    installation = _installation(tmp_path, now=lambda: next(times))
    installation.write_configuration()
    _write(tmp_path, "05-later.conf", {"type": "later"})
    first = installation.fallback.find()
    assert first is not None
    assert first.path.name == "10-calico.conflist"
    first.path.unlink()
    installation.refresh_configuration()
    instead = installation.fallback.find()
    assert instead is not None
    assert instead.path.name == "05-later.conf"


def test_uninstalling_leaves_what_was_there_before(tmp_path: Path) -> None:
    """Configuration, executables and state go; everybody else's files stay."""
    _write(tmp_path, "10-x.conf", {"type": "x"})
    installation = _installation(tmp_path)
    installation.install_executables()
    installation.write_configuration()
    (tmp_path / "state/journal").mkdir(parents=True)
    installation.uninstall()
    installation.uninstall()
    assert ["10-x.conf"] == [each.name for each in (tmp_path / "etc/cni/net.d").iterdir()]
    assert [] == list((tmp_path / "opt/cni/bin").iterdir())
    assert [] == list((tmp_path / "state").iterdir())


def test_the_configuration_goes_before_what_it_names(tmp_path: Path) -> None:
    """If uninstalling stops half-way, the runtime has no configuration whose plugin is missing."""
    # Peers' complaint 10
    installation = _installation(tmp_path)
    installation.write_configuration()
    (tmp_path / "opt/cni/bin/danm").mkdir()
    with pytest.raises(OSError, match="danm"):
        installation.uninstall()
    assert not installation.has_configuration


def test_two_pods_of_a_node_are_uninstalled_one_after_the_other(tmp_path: Path) -> None:
    """During an update a node has two, which would find each other's files gone."""
    installation = _installation(tmp_path)
    installation.write_configuration()
    directory = tmp_path / "run"
    directory.mkdir(exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        other = threading.Thread(target=_installation(tmp_path, pod_uid="second").uninstall)
        other.start()
        _wait_for_lock(directory.stat().st_ino)
        assert installation.has_configuration
    finally:
        os.close(descriptor)
    other.join(timeout=10)
    assert not other.is_alive()
    assert not installation.has_configuration


@pytest.mark.parametrize("uids", [["first"], ["first", "second"], ["second", "first"]])
def test_a_pod_that_uninstalled_does_not_install_again(tmp_path: Path, uids: list[str]) -> None:
    """Not its danmd that is just beginning either; and during an update a node has two Pods."""
    begun = {uid: _installation(tmp_path, pod_uid=uid) for uid in uids}
    assert not any(each.was_uninstalled() for each in begun.values())
    for uid in uids:
        _installation(tmp_path, pod_uid=uid).uninstall()
    for each in begun.values():
        assert each.was_uninstalled()
        each.install_executables()
        each.write_configuration()
        assert not each.has_configuration
    assert [] == list((tmp_path / "opt/cni/bin").iterdir())


@pytest.mark.parametrize("uid", ["another", "", "fir"])
def test_another_pod_installs_again(tmp_path: Path, uid: str) -> None:
    """What took DANM off the node was not it; a process outside of Pods is always asked for it."""
    for _ in range(2):
        _installation(tmp_path, pod_uid="first").uninstall()
    installation = _installation(tmp_path, pod_uid=uid)
    assert not installation.was_uninstalled()
    installation.install_executables()
    installation.write_configuration()
    assert installation.has_configuration
    assert {"danm", "fakeipam"} == {each.name for each in (tmp_path / "opt/cni/bin").iterdir()}


def test_a_pod_is_remembered_before_anything_is_removed(tmp_path: Path) -> None:
    """A danmd that begins at that moment would put back what is gone already."""
    (tmp_path / "opt/cni/bin/danm").mkdir(parents=True)
    installation = _installation(tmp_path, pod_uid="first")
    with pytest.raises(OSError, match="danm"):
        installation.uninstall()
    assert installation.was_uninstalled()
