"""What configuration files hold."""

from typing import Any

import msgspec
import pytest

from danm_api.errors import InvalidNetworkError
from danm_cni.delegate_config import render
from danm_cni.plugin_files import (
    declared_capabilities,
    file_chain,
    first_configuration,
    plugin_folder,
)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        pytest.param(b"{", "cannot be read", id="broken"),
        pytest.param(b"[" * 100_000, "cannot be read", id="endless"),
        pytest.param(b'{"type": "\xff"}', "cannot be read", id="no UTF-8"),
        pytest.param(b'{"type":"danm"}', "call itself", id="danm"),
        pytest.param(b'{"plugins":[{"type":"danm"}]}', "call itself", id="danm in a list"),
        pytest.param(b'{"name":"x"}', "without a type", id="no type"),
        pytest.param(b'{"type":"../sh"}', "plain file name", id="path"),
        pytest.param(b'{"plugins":[]}', "at least one", id="empty list"),
        pytest.param(b'{"plugins":{"a":1}}', "at least one", id="no list"),
    ],
)
def test_unusable_files_are_refused(data: bytes, told: str) -> None:
    """What cannot be a configuration, or would call DANM again, is refused with the file's name."""
    # SPEC E2
    with pytest.raises(InvalidNetworkError, match=told):
        file_chain(data, source="x.conf")


@pytest.mark.parametrize(
    ("names", "first"),
    [
        pytest.param(["10-b.conflist", "05-a.conf"], "05-a.conf", id="by name"),
        pytest.param(["00-danm.conflist", "87-podman.json"], "87-podman.json", id="not our own"),
        pytest.param(["README", ".x.tmp"], None, id="no configuration"),
        pytest.param([], None, id="empty"),
    ],
)
def test_the_first_configuration(names: list[str], first: str | None) -> None:
    """The fallback is what a runtime would take if DANM's file were not there."""
    assert first == first_configuration(names, own="00-danm.conflist")


@pytest.mark.parametrize(
    ("stated", "used"),
    [
        pytest.param({"cniVersion": "0.4.0", "cniVersions": ["1.0.0", "0.3.1"]}, "1.0.0", id="max"),
        pytest.param({"cniVersion": "1.1.0", "cniVersions": ["0.4.0"]}, "1.1.0", id="the single"),
        pytest.param({"cniVersions": ["0.4.0", "9.0.0"]}, "0.4.0", id="not one of the future"),
        pytest.param({"cniVersion": "0.4.0", "cniVersions": 7}, "0.4.0", id="no list"),
        pytest.param({"cniVersion": "9.0.0"}, "9.0.0", id="nothing known"),
        pytest.param({}, "0.1.0", id="none"),
    ],
)
def test_the_newest_version_of_a_list_is_used(stated: dict[str, Any], used: str) -> None:
    """A list may offer several versions; its plugins are called with the newest that is known."""
    # CNI 1.1.0, section 1: "MUST select the highest supported version"
    data = msgspec.json.encode({"name": "x", "plugins": [{"type": "bridge"}], **stated})
    chain = file_chain(data, source="x.conflist")
    rendered = render(chain.plugins[0], previous=None, runtime_config={})
    assert msgspec.json.decode(rendered)["cniVersion"] == used


@pytest.mark.parametrize(
    ("keys", "source", "folder"),
    [
        pytest.param({"plugins": []}, "x.conflist", "net", id="a list"),
        pytest.param({"plugins": []}, "x.conf", "net", id="a list under another suffix"),
        pytest.param({}, "x.conflist", "net", id="a list without plugins of its own"),
        pytest.param({"type": "bridge"}, "x.conf", None, id="one plugin"),
        pytest.param({"type": "bridge"}, "x.conflist", None, id="one plugin as a list"),
        pytest.param(
            {"plugins": [], "loadOnlyInlinedPlugins": False}, "x.conflist", "net", id="said"
        ),
        pytest.param(
            {"plugins": [], "loadOnlyInlinedPlugins": True}, "x.conflist", None, id="inlined only"
        ),
        pytest.param(
            {"plugins": [], "loadOnlyInlinedPlugins": "TRUE"}, "x.conflist", None, id="as a text"
        ),
        pytest.param({"plugins": [], "name": "../x"}, "x.conflist", None, id="elsewhere"),
        pytest.param({"plugins": [], "name": ""}, "x.conflist", None, id="no name"),
        pytest.param({"plugins": [], "name": 7}, "x.conflist", None, id="no text"),
    ],
)
def test_the_folder_whose_plugins_join_a_list(
    keys: dict[str, Any], source: str, folder: str | None
) -> None:
    """The network's name, beside the file; none where the list says so, or the name reaches out."""
    # CNI 1.1.0, section 1: loadOnlyInlinedPlugins; SPEC E2
    assert plugin_folder(msgspec.json.encode({"name": "net", **keys}), source=source) == folder


def test_plugins_of_the_folder_come_after_those_of_the_list() -> None:
    """With the list's name and version, as the others, and their capabilities count."""
    data = msgspec.json.encode(
        {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "bridge"}]}
    )
    more = {
        "10-a.conf": b'{"type":"tuning","cniVersion":"0.4.0","name":"other"}',
        "20-b.conf": b'{"type":"portmap","capabilities":{"portMappings":true}}',
    }
    chain = file_chain(data, source="x.conflist", more=more)
    assert [each.type for each in chain.plugins] == ["bridge", "tuning", "portmap"]
    rendered = render(chain.plugins[1], previous=None, runtime_config={})
    expected = {"type": "tuning", "cniVersion": "1.0.0", "name": "net"}
    assert msgspec.json.decode(rendered) == expected
    assert declared_capabilities(chain) == {"portMappings": True}
    alone = file_chain(b'{"cniVersion":"1.0.0","name":"net"}', source="x.conflist", more=more)
    assert [each.type for each in alone.plugins] == ["tuning", "portmap"]


@pytest.mark.parametrize(
    ("data", "more", "told"),
    [
        pytest.param(b'{"name":"x"}', {}, "no plugins, and there are none in", id="nothing"),
        pytest.param(
            b'{"name":"x","loadOnlyInlinedPlugins":true}',
            {},
            "loadOnlyInlinedPlugins and no plugins",
            id="inlined only, and none",
        ),
        pytest.param(
            b'{"name":"x"}', {"a.conf": b"{"}, "x.conflist: a.conf cannot be read", id="rubbish"
        ),
        pytest.param(b'{"name":"x"}', {"a.conf": b'{"type":"danm"}'}, "call itself", id="danm"),
        pytest.param(b'{"name":"x"}', {"a.conf": b"{}"}, "without a type", id="no type"),
        pytest.param(
            b'{"name":"x","plugins":[]}', {"a.conf": b'{"type":"a"}'}, "at least one", id="empty"
        ),
    ],
)
def test_unusable_lists_with_folders_are_refused(
    data: bytes, more: dict[str, bytes], told: str
) -> None:
    """As without a folder; what is wrong there is told with both names."""
    # SPEC E2
    with pytest.raises(InvalidNetworkError, match=told):
        file_chain(data, source="x.conflist", more=more)
