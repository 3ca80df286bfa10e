"""Flannel's left-over reservations."""

from pathlib import Path

import pytest

from danm_cni.flannel import clean_flannel


@pytest.mark.parametrize(
    ("content", "is_left"),
    [
        pytest.param("c1\r\neth0", False, id="its own"),
        pytest.param("c1", False, id="its own, of an old host-local"),
        pytest.param("c2\r\neth0", True, id="somebody else's by now"),
        pytest.param("c10\r\neth0", True, id="of an id that begins alike"),
        pytest.param("\xff", True, id="rubbish"),
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
    file.write_text(content, encoding="latin-1")
    clean()
    assert is_left == file.exists()
