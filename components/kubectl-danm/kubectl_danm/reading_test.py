"""Reading, and what is said of what could not be read."""

import pytest

from danm_api.errors import ApiError, ApiUnavailableError
from danm_api.kube.api import DANMEPS, DANMNODES
from danm_api.testing.builders import NAMESPACE, a_danmep
from kubectl_danm import reading
from kubectl_danm.reading import Notes
from kubectl_danm.testing.stage import Stage


async def test_what_cannot_be_decoded_is_a_note() -> None:
    """One broken object hides no other one."""
    stage = Stage()
    stage.endpoint(a_danmep())
    stage.kube.add(DANMEPS, {"metadata": {"namespace": NAMESPACE, "name": "bad"}, "spec": {}})
    notes = Notes()
    found = await reading.endpoints(stage.kube, notes, namespace=NAMESPACE)
    assert [each.name for each in found] == ["ep-1"]
    (note,) = notes.all()
    assert f"DanmEp {NAMESPACE}/bad cannot be read and is left out" in note


async def test_a_list_that_is_forgotten_is_read_anew() -> None:
    """What is found, and what cannot be read, is of one reading."""
    stage = Stage()
    for name in ("a", "b", "c"):
        stage.endpoint(a_danmep(name))
    stage.kube.add(DANMEPS, {"metadata": {"namespace": NAMESPACE, "name": "bad"}, "spec": {}})
    stage.kube.fail_next("page", DANMEPS, ApiError("expired", status=410))
    notes = Notes()
    found = await reading.endpoints(stage.kube, notes, namespace=NAMESPACE)
    assert [each.name for each in found] == ["a", "b", "c"]
    assert len(notes.all()) == 1


async def test_only_a_refusal_may_be_passed_over() -> None:
    """A server that is away is no reason to show half of an answer as if it were whole."""
    stage = Stage()
    stage.refuse(DANMNODES)
    notes = Notes()
    nodes = await notes.optional("x", reading.nodes(stage.kube, notes), otherwise=[])
    assert nodes == []
    assert notes.all()[0].startswith("x could not be looked at. jane lacks the right")
    stage.kube.fail_next("list", DANMNODES, ApiUnavailableError("away", status=0))
    with pytest.raises(ApiUnavailableError):
        await notes.optional("x", reading.nodes(stage.kube, notes), otherwise=[])
