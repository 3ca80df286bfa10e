"""Paths of network namespaces: where they lead, and what is known of one that cannot be opened."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from danm_api.errors import LinkSetupError
from danm_cni.netns import NetnsGoneError, enter_netns, open_netns, resolve_in_root


def test_absolute_links_are_followed_in_the_hosts_root(tmp_path: Path) -> None:
    """``/var/run`` of the host is followed below its root, not in danmd's own."""
    (tmp_path / "run/netns").mkdir(parents=True)
    (tmp_path / "run/netns/x").touch()
    (tmp_path / "var").mkdir()
    (tmp_path / "var/run").symlink_to("/run")
    assert tmp_path / "run/netns/x" == resolve_in_root(tmp_path, "/var/run/netns/x")
    # POSIX leaves open what two slashes mean; here they are one, and no way out.
    assert tmp_path / "run/netns/x" == resolve_in_root(tmp_path, "//run//netns/./x")
    (tmp_path / "run/up").symlink_to("../../../../etc")
    assert tmp_path / "etc/passwd" == resolve_in_root(tmp_path, "/run/up/passwd")
    assert tmp_path / "etc" == resolve_in_root(tmp_path, "/run/../../../etc")


def test_a_relative_link_is_followed_from_its_own_directory(tmp_path: Path) -> None:
    """As by the kernel, and what the link leads to may be a link again."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/link").symlink_to("../c")
    (tmp_path / "a/c").symlink_to("/d")
    assert tmp_path / "d/x" == resolve_in_root(tmp_path, "/a/b/link/x")


@pytest.mark.parametrize(("links", "refused"), [(40, False), (41, True)])
def test_links_are_followed_as_often_as_by_the_kernel(
    tmp_path: Path, links: int, *, refused: bool
) -> None:
    """A loop is an error and no end."""
    for number in range(links):
        (tmp_path / f"l{number}").symlink_to(f"/l{number + 1}")
    if refused:
        with pytest.raises(OSError, match="symbolic links"):
            resolve_in_root(tmp_path, "/l0")
    else:
        assert tmp_path / f"l{links}" == resolve_in_root(tmp_path, "/l0")


def test_links_of_processes_are_the_kernels_to_follow(tmp_path: Path) -> None:
    """What they say, such as ``net:[4026531840]``, is no path."""
    (tmp_path / "proc/7/ns").mkdir(parents=True)
    (tmp_path / "proc/7/ns/net").symlink_to("net:[4026531840]")
    (tmp_path / "elsewhere").symlink_to("/proc/7")
    for path in ("/proc/7/ns/net", "/elsewhere/ns/net"):
        assert tmp_path / "proc/7/ns/net" == resolve_in_root(tmp_path, path)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/run/netns/none", id="no file"),
        pytest.param("/none/netns/x", id="no directory"),
        pytest.param("/file/x", id="below a file"),
        pytest.param("/loop", id="a loop"),
    ],
)
def test_what_names_nothing_is_gone(tmp_path: Path, path: str) -> None:
    """Nothing is left in it: whoever takes it down is done."""
    (tmp_path / "run/netns").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("/loop")
    with pytest.raises(NetnsGoneError, match=f"{path} is gone"):
        open_netns(tmp_path, path)


@contextmanager
def _no_descriptors() -> Iterator[None]:
    """Let this process open no more files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_without_descriptors_nothing_is_gone(tmp_path: Path) -> None:
    """A namespace that cannot be opened may live: its addresses must not be given back."""
    (tmp_path / "x").touch()
    # DESIGN, P3
    with pytest.raises(LinkSetupError) as caught, _no_descriptors():
        open_netns(tmp_path, "/x")
    assert not isinstance(caught.value, NetnsGoneError)
    assert caught.match("cannot be opened: Too many open files")


def test_a_name_that_is_too_long_tells_nothing(tmp_path: Path) -> None:
    """Any other error of the kernel is no proof that a namespace is gone."""
    with pytest.raises(LinkSetupError, match="File name too long") as caught:
        open_netns(tmp_path, "/" + "x" * 300)
    assert not isinstance(caught.value, NetnsGoneError)


def test_a_file_without_its_mount_is_gone(tmp_path: Path) -> None:
    """A runtime leaves an empty file where a namespace was; nobody can enter that."""
    (tmp_path / "x").touch()
    descriptor = open_netns(tmp_path, "/x")
    try:
        with pytest.raises(NetnsGoneError, match="cannot be entered"):
            enter_netns(descriptor)
    finally:
        os.close(descriptor)
