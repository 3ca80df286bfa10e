"""Flannel's left-over reservations."""

from pathlib import Path

import pytest

from danm_cni.flannel import clean_flannel


@pytest.mark.parametrize(
    ("content", "is_left"),
    [
        pytest.param("c1\r\neth0", False, id="its own"),
        pytest.param("c2\r\neth0", True, id="somebody else's by now"),
    ],
)
def test_only_the_container_s_own_reservation_goes(
    tmp_path: Path, content: str, *, is_left: bool
) -> None:
    """A reservation that another container has got since stays; none at all is no error."""
    # SPEC E5
    file = tmp_path / "var/lib/cni/networks/cbr0/192.0.2.5"

    def clean() -> None:
        clean_flannel(tmp_path, bridge="cbr0", container_id="c1", address="192.0.2.5/24")

    clean()
    file.parent.mkdir(parents=True)
    file.write_text(content)
    clean()
    assert is_left == file.exists()
