"""The text of templates."""

import pytest

from chart.template import Either, Filled, More, Only, Whole, conditional, rendered


def test_what_has_no_nodes_is_plain_yaml() -> None:
    """Only braces that Helm would read are written so that it does not."""
    assert rendered({"a": [{"b": 1}], "c": "x"}) == "a:\n- b: 1\nc: x\n"
    assert rendered({"a": "{{ b"}) == "a: '{{ \"{{\" }} b'\n"


def test_a_filled_value_stands_in_its_line() -> None:
    """Its expression gives a scalar."""
    assert rendered({"a": {"b": Filled(".Values.b")}}) == "a:\n  b: {{ .Values.b }}\n"


def test_a_whole_value_goes_with_its_key() -> None:
    """An empty value leaves no key, and the depth is that of the place."""
    assert rendered({"a": {"b": Whole(".Values.b")}}) == (
        "a:\n"
        "  {{- with .Values.b }}\n"
        "  b:\n"
        "    {{- toYaml . | nindent 4 }}\n"
        "  {{- end }}\n"
    )


def test_more_joins_what_is_there() -> None:
    """Entries of a mapping and items of a list stand as deep as those before them."""
    assert rendered({"a": {"b": 1, More(".Values.m"): None}, "c": [1, More(".Values.l")]}) == (
        "a:\n"
        "  b: 1\n"
        "  {{- with .Values.m }}\n"
        "  {{- toYaml . | nindent 2 }}\n"
        "  {{- end }}\n"
        "c:\n"
        "- 1\n"
        "{{- with .Values.l }}\n"
        "{{- toYaml . | nindent 0 }}\n"
        "{{- end }}\n"
    )


def test_conditions_choose_values_and_items() -> None:
    """The one, the other, or nothing."""
    assert rendered({"a": Either("x", [1], {"b": 2}), "c": Either("y", None, 3)}) == (
        "{{- if x }}\na:\n- 1\n{{- else }}\na:\n  b: 2\n{{- end }}\n"
        "{{- if y }}\n{{- else }}\nc: 3\n{{- end }}\n"
    )
    assert rendered([1, Only("x", {"b": 2})]) == "- 1\n{{- if x }}\n- b: 2\n{{- end }}\n"
    assert conditional("x", "a\n") == "{{- if x }}\na\n{{- end }}\n"


def test_an_item_begins_with_what_is_always_there() -> None:
    """Its first line has the dash, which a condition would take with it."""
    assert rendered([{"a": 1, "b": Whole("x")}]).startswith("- a: 1\n  {{- with x }}\n  b:\n")
    with pytest.raises(ValueError, match="first key"):
        rendered([{"b": Whole("x")}])


def test_a_scalar_is_no_template() -> None:
    """A tree is a mapping or a list."""
    with pytest.raises(TypeError):
        rendered(Filled("x"))
