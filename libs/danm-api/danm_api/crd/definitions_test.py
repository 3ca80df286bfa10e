"""The definitions: what stands in deploy/crds, and that it follows the codecs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from danm_api.codec.danm_node import NodeNetworkWire, NodeStatusWire
from danm_api.codec.danmep import EndpointSpecWire
from danm_api.codec.danmep import InterfaceWire as EndpointInterfaceWire
from danm_api.codec.danmnet import OptionsWire, SpecWire
from danm_api.codec.ip_block import BlockSpecWire, EntryWire
from danm_api.codec.network_status import ConditionWire, NodeSumWire, UsageWire
from danm_api.crd import admission
from danm_api.crd.__main__ import main
from danm_api.crd.danm_node import DANMNODE
from danm_api.crd.danmep import DANMEP
from danm_api.crd.danmnet import DANMNET
from danm_api.crd.definition import Definition
from danm_api.crd.definitions import ALL
from danm_api.crd.ip_block import DANMIPBLOCK, ENTRY_KEYS

DEPLOY = Path(__file__).parents[4] / "deploy"
COMMITTED = DEPLOY / "crds"
POLICY = DEPLOY / "policies" / admission.FILE_NAME


def _at(definition: Definition, path: str) -> dict[str, Any]:
    schema = definition.schema
    for key in path.split("."):
        schema = schema["items"] if key == "[]" else schema["properties"][key]
    return schema


def _walk(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for key, value in schema.get("properties", {}).items():
        yield from _walk(value, f"{path}.{key}")


@pytest.mark.parametrize("definition", ALL, ids=lambda each: each.kind)
def test_the_committed_file_is_what_python_describes(definition: Definition) -> None:
    """Who applies deploy/crds gets the definitions of this release."""  # SPEC A3
    committed = yaml.safe_load((COMMITTED / definition.file_name).read_text())
    assert committed == definition.manifest()


def test_the_command_writes_every_file(tmp_path: Path) -> None:
    """``python -m danm_api.crd`` writes what is committed, byte by byte."""
    for directory in ("crds", "policies"):
        (tmp_path / directory).mkdir()
    main([str(tmp_path)])
    for definition in ALL:
        written = (tmp_path / "crds" / definition.file_name).read_text()
        assert written == (COMMITTED / definition.file_name).read_text()
    assert (tmp_path / "policies" / admission.FILE_NAME).read_text() == POLICY.read_text()


@pytest.mark.parametrize(
    ("definition", "path", "wire", "more"),
    [
        pytest.param(DANMNET, "spec", SpecWire, set(), id="DanmNet"),
        pytest.param(DANMNET, "spec.Options", OptionsWire, {"alloc"}, id="Options"),
        pytest.param(DANMNET, "status.applied.Options", OptionsWire, set(), id="applied"),
        pytest.param(DANMNET, "status.conditions.[]", ConditionWire, set(), id="Condition"),
        pytest.param(DANMNET, "status.ipv4", UsageWire, set(), id="Usage"),
        pytest.param(DANMNET, "status.nodes", NodeSumWire, set(), id="nodes"),
        pytest.param(DANMEP, "spec", EndpointSpecWire, set(), id="DanmEp"),
        pytest.param(DANMEP, "spec.Interface", EndpointInterfaceWire, set(), id="Interface"),
        pytest.param(DANMIPBLOCK, "spec", BlockSpecWire, set(), id="DanmIPBlock"),
        pytest.param(DANMNODE, "status", NodeStatusWire, set(), id="DanmNode"),
        pytest.param(DANMNODE, "status.networks.[]", NodeNetworkWire, set(), id="node's network"),
    ],
)
def test_a_schema_has_the_keys_of_its_codec(
    definition: Definition, path: str, wire: type[msgspec.Struct], more: set[str]
) -> None:
    """A key that a codec reads or writes is never pruned, and none is described in vain."""
    assert set(_at(definition, path)["properties"]) == {*wire.__struct_encode_fields__, *more}


def test_every_key_of_an_entry_is_explained() -> None:
    """An entry is a text, so its description is where its keys are named."""
    assert set(ENTRY_KEYS) == set(EntryWire.__struct_encode_fields__)
    description = _at(DANMIPBLOCK, "spec.entries.[]")["description"]
    assert all(f"{key}: {meaning}" in description for key, meaning in ENTRY_KEYS.items())


@pytest.mark.parametrize("definition", ALL, ids=lambda each: each.kind)
def test_every_field_is_described(definition: Definition) -> None:
    """``kubectl explain`` has an answer for each field."""  # SPEC A3
    silent = [path for path, schema in _walk(definition.schema, "") if not schema["description"]]
    assert silent == []


def test_kinds_have_the_names_that_people_type() -> None:
    """Short names stay what they were, and every kind is found under ``kubectl get danm``."""
    names = {each.plural: each.short_names for each in ALL}  # SPEC A1, A2, A4
    assert names == {
        "danmnets": ("dn", "dnet"),
        "danmeps": ("de", "dep"),
        "danmipblocks": ("dib",),
        "danmnodes": ("dno",),
    }


def test_users_cannot_write_what_services_found_out() -> None:
    """A DanmNet's status goes through the subresource."""  # SPEC A4
    version = DANMNET.manifest()["spec"]["versions"][0]
    assert version["subresources"] == {"status": {}}


def test_columns_answer_what_whether_and_how_full() -> None:
    """``kubectl get dnet`` shows the type, the verdict and the counts."""  # SPEC A3
    shown = [column.name for column in DANMNET.columns if not column.wide]
    assert shown == ["Type", "Device", "CIDR", "Valid", "Ready Nodes", "Used", "Free", "Age"]


def test_the_group_says_that_kubernetes_did_not_approve_it() -> None:
    """Without this annotation the API server refuses a group under k8s.io."""  # SPEC A3
    annotations = DANMNET.manifest()["metadata"]["annotations"]
    assert annotations["api-approved.kubernetes.io"].startswith("unapproved, ")
