"""Labels that look-ups select by."""

import pytest

from danm_api import labels
from danm_api.names import ContainerId


def test_a_container_id_fits_into_a_label() -> None:
    """64 characters do not; the hash does, and tells containers apart."""  # SPEC A2
    one, other = (labels.container_id_label(ContainerId(char * 64)) for char in "ab")
    assert one != other
    assert max(len(one), len(other)) <= labels.MAX_VALUE_LENGTH


@pytest.mark.parametrize("length", [1, 63])
def test_a_name_that_fits_stands_for_itself(length: int) -> None:
    """So that people can select by it."""  # SPEC A2
    assert labels.label_value("n" * length) == "n" * length


def test_a_longer_name_becomes_a_hash() -> None:
    """Names of nodes and networks have up to 253 characters."""  # SPEC A2
    values = {labels.label_value("n" * length) for length in (64, 65, 253)}
    assert len(values) == 3
    assert all(len(value) <= labels.MAX_VALUE_LENGTH for value in values)


def test_our_labels_are_not_a_tenant_s() -> None:
    """Whatever a Pod has under our prefix is dropped."""  # SPEC A2
    given = {"app": "lb", labels.NETWORK: "x", "danm.k8s.io/other": "y"}
    assert labels.of_tenant(given) == {"app": "lb"}
