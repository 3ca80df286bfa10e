"""What danmd's log tells."""

from tests.lab.bench.cni.danmd_log import added_sandboxes, median_steps

_LOG = b"""\
Some warning of the interpreter
{"message":"Ready","node":"n"}
{"message":"Added sandbox","container_id":"c1","took_ms":{"planning":1,"writing the journal":4}}
{"message":"Removed sandbox","container_id":"c1"}
{"message":"Added sandbox","container_id":"c2","took_ms":{"planning":3}}
{"message":"Added san
"""


def test_the_steps_of_each_sandbox_are_found() -> None:
    """Lines of other things, and what is no line of danmd's, are passed over."""
    assert added_sandboxes(_LOG.splitlines()) == {
        "c1": {"planning": 1, "writing the journal": 4},
        "c2": {"planning": 3},
    }


def test_steps_have_medians() -> None:
    """A step that an ADD does not have took it no time; the order is that of the ADDs."""
    several = [{"a": 1.0, "b": 5.0}, {"a": 3.0}, {"a": 2.0, "c": 9.0}]
    assert median_steps(several) == {"a": 2.0, "b": 0.0, "c": 0.0}
    assert list(median_steps(several)) == ["a", "b", "c"]


def test_no_sandbox_has_no_steps() -> None:
    """Where danmd told nothing there is nothing to show."""
    assert median_steps([]) == {}
