"""Configurations as they lie on the host."""

from pathlib import Path

import pytest

from danm_api.errors import InvalidNetworkError
from danm_cni.plugin_loading import (
    ConfigDirectory,
    ConfigFile,
    load_chain,
    load_static_chain,
    paths_of,
)


def test_static_types_are_found_by_name(tmp_path: Path) -> None:
    """A type's .conflist is taken before its .conf; nothing outside of the directory is read."""
    (tmp_path / "x.conf").write_text('{"type":"a"}')
    # SPEC E2
    assert load_static_chain(tmp_path, "x", root=tmp_path).source == "x.conf"
    (tmp_path / "x.conflist").write_text('{"plugins":[{"type":"b"}]}')
    assert load_static_chain(tmp_path, "x", root=tmp_path).source == "x.conflist"
    for name in ("absent", "../x"):
        with pytest.raises(InvalidNetworkError):
            load_static_chain(tmp_path, name, root=tmp_path)


def test_a_link_among_the_files_is_the_hosts(tmp_path: Path) -> None:
    """Hosts that keep their files elsewhere have absolute links, which lead on in their root."""
    directory = tmp_path / "etc/cni/net.d"
    directory.mkdir(parents=True)
    (tmp_path / "store").mkdir()
    (tmp_path / "store/abc.conf").write_text('{"type":"a"}')
    (directory / "x.conf").symlink_to("/store/abc.conf")
    chain = load_static_chain(directory, "x", root=tmp_path)
    assert (chain.source, chain.plugins[0].type) == ("x.conf", "a")


def test_danms_own_configuration_is_none_of_the_others(tmp_path: Path) -> None:
    """All else that libcni reads is, in its order; a directory that is not there yet has none."""
    directory = ConfigDirectory(root=tmp_path, host_path="/etc/cni/net.d", own="00-danm.conflist")
    assert directory.names() == []
    directory.path.mkdir(parents=True)
    for name in ("b.conf", "a.json", "c.conflist", "00-danm.conflist", "README"):
        (directory.path / name).touch()
    # SPEC B2
    assert directory.names() == ["a.json", "b.conf", "c.conflist"]


def _directory(root: Path) -> Path:
    directory = root / "etc/cni/net.d"
    directory.mkdir(parents=True)
    return directory


def test_a_folder_of_the_networks_name_joins_a_list(tmp_path: Path) -> None:
    """In the order of names, .conf alone; it lies beside the file's name, not beside its target."""
    # CNI 1.1.0, section 1: loadOnlyInlinedPlugins
    directory = _directory(tmp_path)
    (tmp_path / "store").mkdir()
    (tmp_path / "store/list").write_text('{"name":"net","plugins":[{"type":"a"}]}')
    (directory / "x.conflist").symlink_to("/store/list")
    (directory / "net").mkdir()
    (directory / "net/20.conf").write_text('{"type":"c"}')
    (tmp_path / "store/ten").write_text('{"type":"b"}')
    (directory / "net/10.conf").symlink_to("/store/ten")
    (directory / "net/30.conflist").write_text('{"type":"d"}')
    (directory / "net/40.conf").mkdir()
    (tmp_path / "store/net").mkdir()
    (tmp_path / "store/net/10.conf").write_text('{"type":"e"}')
    chain = load_static_chain(directory, "x", root=tmp_path)
    assert [each.type for each in chain.plugins] == ["a", "b", "c"]
    file = ConfigFile(path=tmp_path / "store/list", beside=directory, root=tmp_path)
    expected = [tmp_path / "store/list", tmp_path / "store/ten", directory / "net/20.conf"]
    assert expected == list(paths_of(file))
    assert load_chain(file).source == "list"


def test_a_list_may_forbid_the_folder(tmp_path: Path) -> None:
    """Then what lies there is not even read."""
    directory = _directory(tmp_path)
    (directory / "x.conflist").write_text(
        '{"name":"net","loadOnlyInlinedPlugins":true,"plugins":[{"type":"a"}]}'
    )
    (directory / "net").mkdir()
    (directory / "net/10.conf").write_text("rubbish")
    chain = load_static_chain(directory, "x", root=tmp_path)
    assert [each.type for each in chain.plugins] == ["a"]


def test_what_is_wrong_in_a_folder_is_told_with_its_names(tmp_path: Path) -> None:
    """A plugin that cannot be read is not left out in silence."""
    directory = _directory(tmp_path)
    (directory / "x.conflist").write_text('{"name":"net","plugins":[{"type":"a"}]}')
    (directory / "net").mkdir()
    (directory / "net/10.conf").symlink_to("/nowhere")
    with pytest.raises(InvalidNetworkError, match="x.conflist: nowhere cannot be read"):
        load_static_chain(directory, "x", root=tmp_path)
    (directory / "net/10.conf").unlink()
    (directory / "net/10.conf").write_text("rubbish")
    with pytest.raises(InvalidNetworkError, match="x.conflist: 10.conf cannot be read"):
        load_static_chain(directory, "x", root=tmp_path)


def test_a_file_of_the_networks_name_is_no_folder(tmp_path: Path) -> None:
    """It is somebody else's, and adds nothing."""
    directory = _directory(tmp_path)
    (directory / "x.conflist").write_text('{"name":"net","plugins":[{"type":"a"}]}')
    (directory / "net").write_text("")
    assert len(load_static_chain(directory, "x", root=tmp_path).plugins) == 1
