"""Which configuration is the fallback, and for how long (SPEC B2)."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import pytest

from danm_api.errors import InvalidNetworkError
from danm_cni.fallback_choice import FallbackChoice
from danm_cni.plugin_loading import ConfigDirectory, load_chain
from danm_cni.testing.node import messages_of

_OWN: Final = "00-danm.conflist"


def _choice(
    root: Path, *, named: str | None = None, now: Callable[[], float] = time.monotonic
) -> FallbackChoice:
    """Return a choice on a node's disk; another one on the same disk is after a restart."""
    directory = ConfigDirectory(root=root, host_path="/etc/cni/net.d", own=_OWN)
    return FallbackChoice(directory, named=named, memory=root / "state/fallback.json", now=now)


def _name(choice: FallbackChoice) -> str | None:
    file = choice.find()
    return None if file is None else file.path.name


def _write(root: Path, name: str, content: object) -> None:
    directory = root / "etc/cni/net.d"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(msgspec.json.encode(content))


class _Clock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def test_a_fallback_may_be_a_link_of_the_host(tmp_path: Path) -> None:
    """An absolute link among the configurations leads on in the host's root."""
    _write(tmp_path, "README", {})
    (tmp_path / "store").mkdir()
    (tmp_path / "store/10-x.conf").write_text('{"type":"bridge"}')
    (tmp_path / "etc/cni/net.d/10-x.conf").symlink_to("/store/10-x.conf")
    choice = _choice(tmp_path)
    for _ in range(2):
        file = choice.find()
        assert file is not None
        assert load_chain(file).plugins[0].type == "bridge"


def test_the_fallback_is_remembered(tmp_path: Path) -> None:
    """A configuration that appears later does not take over running nodes by its name."""
    _write(tmp_path, "20-old.conf", {"type": "old"})
    assert _name(_choice(tmp_path)) == "20-old.conf"
    _write(tmp_path, "10-new.conf", {"type": "new"})
    # SPEC B2
    assert _name(_choice(tmp_path)) == "20-old.conf"


def _with_two_files(root: Path, clock: _Clock) -> tuple[FallbackChoice, Path]:
    """Have a node that remembers its first file; return that, too."""
    _write(root, _OWN, {"plugins": [{"type": "danm"}]})
    _write(root, "10-calico.conflist", {"plugins": [{"type": "calico"}]})
    _write(root, "87-podman.conflist", {"plugins": [{"type": "bridge"}]})
    choice = _choice(root, now=clock)
    assert _name(choice) == "10-calico.conflist"
    return choice, root / "etc/cni/net.d/10-calico.conflist"


def test_a_fallback_that_is_away_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    """A plugin that writes its file anew costs no Pod its network, then or ever."""
    clock = _Clock()
    choice, file = _with_two_files(tmp_path, clock)
    data = file.read_bytes()
    file.unlink()
    for _ in range(20):
        # What danmd does every 2 s.
        choice.look_after()
        missing = choice.find()
        assert missing is not None
        with pytest.raises(InvalidNetworkError, match="10-calico.conflist cannot be read"):
            load_chain(missing)
        clock.now_s += 2
    file.write_bytes(data)
    choice.look_after()
    assert _name(choice) == "10-calico.conflist"
    assert _name(_choice(tmp_path)) == "10-calico.conflist"


def test_absences_are_counted_one_by_one(tmp_path: Path) -> None:
    """A file that goes again long after it came back is waited for again."""
    clock = _Clock()
    choice, file = _with_two_files(tmp_path, clock)
    for _ in range(3):
        file.unlink()
        choice.look_after()
        clock.now_s += 50
        assert _name(choice) == "10-calico.conflist"
        file.write_text('{"type":"calico"}')
        choice.look_after()
        clock.now_s += 10_000


def test_another_network_stands_in_for_a_fallback_that_stays_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Pods do not wait for minutes; and its file's return is the end of that."""
    clock = _Clock()
    choice, file = _with_two_files(tmp_path, clock)
    data = file.read_bytes()
    file.unlink()
    choice.look_after()
    clock.now_s += 1000
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert _name(choice) == "87-podman.conflist"
    assert messages_of(caplog.records) == [
        "Fallback network is missing, and another one is used until it is back"
    ]
    file.write_bytes(data)
    assert _name(choice) == "10-calico.conflist"


def test_a_fallback_that_is_gone_for_good_is_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A cluster may change its plugin; the next one is remembered as the first one was."""
    clock = _Clock()
    choice, file = _with_two_files(tmp_path, clock)
    file.unlink()
    choice.look_after()
    clock.now_s += 3600
    # Looking after it chooses nothing.
    choice.look_after()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert _name(choice) == "87-podman.conflist"
    assert messages_of(caplog.records) == ["Chose another fallback network for one that is gone"]
    _write(tmp_path, "05-new.conf", {"type": "new"})
    assert _name(choice) == "87-podman.conflist"
    assert _name(_choice(tmp_path)) == "87-podman.conflist"


def test_without_another_file_there_is_no_fallback(tmp_path: Path) -> None:
    """Once the only one has been away for long, Pods are told what to do instead."""
    clock = _Clock()
    _write(tmp_path, "10-x.conf", {"type": "x"})
    choice = _choice(tmp_path, now=clock)
    assert _name(choice) == "10-x.conf"
    (tmp_path / "etc/cni/net.d/10-x.conf").unlink()
    assert _name(choice) == "10-x.conf"
    clock.now_s += 3600
    assert _name(choice) is None


@pytest.mark.parametrize(
    ("named", "name"),
    [
        pytest.param("none", None, id="none"),
        pytest.param("/etc/cni/other.conf", "other.conf", id="the administrator's"),
    ],
)
def test_the_administrator_decides(tmp_path: Path, named: str, name: str | None) -> None:
    """A named fallback is taken whatever the directory holds, and so is none."""
    _write(tmp_path, "20-old.conf", {"type": "old"})
    assert name == _name(_choice(tmp_path, named=named))


def test_no_configuration_yet(tmp_path: Path) -> None:
    """A node whose first plugin comes after DANM has no fallback until then."""
    assert _name(_choice(tmp_path)) is None
    _write(tmp_path, "10-late.conf", {"type": "late"})
    assert _name(_choice(tmp_path)) == "10-late.conf"
