"""What counts as a repair, and of what."""

from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from danm_api.names import InterfaceName
from netwatcher.damage import Damage, damage
from netwatcher.plan import (
    Action,
    CreateVlan,
    Delete,
    Mark,
    Rename,
    SetMtu,
    SetUp,
    SetVxlanSource,
)

NAME = InterfaceName("external.300")
CREATE = CreateVlan(name=NAME, parent_index=2, vid=300)


@pytest.mark.parametrize(
    ("actions", "was_up", "expected"),
    [
        pytest.param([CREATE], False, [], id="comes into being"),
        pytest.param([CREATE], True, [Damage.DELETED], id="deleted"),
        pytest.param([Delete(index=7)], True, [], id="not asked for any more"),
        pytest.param([Delete(index=7), CREATE], True, [], id="another one is asked for"),
        pytest.param([SetUp(index=7)], True, [Damage.DOWN], id="down"),
        pytest.param(
            [Rename(index=7, name=NAME), SetMtu(index=7, mtu=1500), SetUp(index=7)],
            True,
            [Damage.RENAMED, Damage.MTU, Damage.DOWN],
            id="several",
        ),
        pytest.param(
            [SetVxlanSource(index=7, source=ip_address("198.18.0.1"))],
            True,
            [Damage.SOURCE],
            id="parent's address",
        ),
        pytest.param([Mark(index=7, name=NAME)], False, [Damage.UNMARKED], id="half made"),
    ],
)
def test_repairs(actions: Sequence[Action], *, was_up: bool, expected: list[Damage]) -> None:
    """Each damage once, and none where somebody asked for the change."""
    assert list(damage(actions, was_up=was_up)) == expected
