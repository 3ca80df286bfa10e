"""Selectors that do not parse are errors: those that do are tested through the fake."""

import pytest

from danm_api.testing.selectors import matcher


@pytest.mark.parametrize("selector", ["=", "a in x", "a=b=c", "a b", ",", "in (x)"])
def test_broken_label_selectors_are_errors(selector: str) -> None:
    """A broken selector never selects everything or nothing."""
    with pytest.raises(ValueError, match="does not parse"):
        matcher(label_selector=selector, field_selector="")


@pytest.mark.parametrize("selector", ["spec.hostname=x", "metadata.name"])
def test_unknown_fields_are_errors(selector: str) -> None:
    """A field that the real server cannot select by is refused."""
    with pytest.raises(ValueError, match=r"not supported|does not parse"):
        matcher(label_selector="", field_selector=selector)


def test_objects_without_labels_match_absence() -> None:
    """Labels may be missing or null."""
    for metadata in ({}, {"labels": None}):
        assert matcher(label_selector="!a,b!=c", field_selector="")({"metadata": metadata})
