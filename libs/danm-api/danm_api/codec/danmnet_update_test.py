"""Changes of a DanmNet keep what they do not know."""

from datetime import UTC, datetime

from danm_api.codec.danmnet import decode_danmnet
from danm_api.codec.danmnet_update import (
    with_condition,
    with_mark,
    with_status,
    without_finalizer,
)
from danm_api.codec.meta import RawObject
from danm_api.codec.network_status import encode_condition
from danm_api.labels import DANMNET_FINALIZER
from danm_api.model.danmnet import Condition, NetworkSpec, NetworkStatus
from danm_api.names import NetworkName

RAW: RawObject = {
    "apiVersion": "danm.k8s.io/v1",
    "kind": "DanmNet",
    "metadata": {"namespace": "n", "name": "internal", "uid": "u", "resourceVersion": "5"},
    "spec": {"NetworkID": "internal", "Later": 1},
    "status": {"applied": {"NetworkID": "internal", "Options": {"mtu": 1400}}, "later": 2},
}


def _holding(kind: str) -> Condition:
    return Condition(
        type=kind,
        status=True,
        reason="Holds",
        message="",
        observed_generation=3,
        last_transition=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_the_mark_leaves_the_rest_of_the_spec_alone() -> None:
    """Validation is the only field of the spec that is written."""  # SPEC A6
    marked = with_mark(RAW, valid=True)
    assert marked["spec"] == {"NetworkID": "internal", "Later": 1, "Validation": "True"}
    assert "Validation" not in RAW["spec"]


def test_a_status_replaces_applied_as_a_whole() -> None:
    """An option that is no longer in force does not linger."""  # SPEC N5
    condition = _holding("Valid")
    status = NetworkStatus(
        applied=NetworkSpec(network_id=NetworkName("internal")),
        conditions=(condition,),
        observed_generation=3,
    )
    raw = with_status(RAW, status)
    assert decode_danmnet(raw).status == status
    assert raw["status"]["later"] == 2


def test_a_condition_leaves_those_of_others_alone() -> None:
    """Such as another release has written, in a form that this one cannot read."""  # SPEC A5
    condition = _holding("InUse")
    foreign = [{"type": "Valid", "status": {"of": "another release"}}, "text"]
    status = {**RAW["status"], "conditions": [*foreign, {"type": "InUse", "status": "False"}]}
    raw = with_condition({**RAW, "status": status}, condition)
    assert raw["status"]["conditions"] == [*foreign, encode_condition(condition)]
    assert raw["status"]["later"] == 2
    alone = with_condition({"metadata": RAW["metadata"]}, condition)
    assert alone["status"]["conditions"] == [encode_condition(condition)]


def test_a_status_without_applied_takes_it_away() -> None:
    """What was refused and is unused is in force no longer."""  # SPEC N5
    assert "applied" not in with_status(RAW, NetworkStatus())["status"]


def test_the_last_finalizer_goes_with_the_object_named() -> None:
    """Others' finalizers stay, and the write is of this object and version alone."""  # SPEC A5
    metadata = {**RAW["metadata"], "finalizers": ["example.org/x", DANMNET_FINALIZER]}
    raw = without_finalizer({**RAW, "metadata": metadata})
    assert raw["metadata"] == {**RAW["metadata"], "finalizers": ["example.org/x"]}
    assert {key: raw[key] for key in ("spec", "status")} == {
        key: RAW[key] for key in ("spec", "status")
    }
    assert without_finalizer(RAW)["metadata"]["finalizers"] == []
