"""What a pure module may not use of the standard library is found."""

from pathlib import Path

import pytest

from checks.pure_modules import impurities, pure_modules, pure_names


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param("import socket\n", [(1, "imports socket")], id="network"),
        pytest.param("\nfrom os import path\n", [(2, "imports os")], id="machine"),
        pytest.param("import http.client as c\n", [(1, "imports http.client")], id="below"),
        pytest.param(
            "from datetime import datetime, UTC\nx = datetime.now(UTC)\n",
            [(2, "reads the clock: now()")],
            id="clock",
        ),
        pytest.param("import ipaddress\nfrom datetime import datetime\n", [], id="pure"),
    ],
)
def test_impurities_are_found(source: str, found: list[tuple[int, str]]) -> None:
    """Network, machine, clock and randomness are found, types such as datetime are not."""
    assert list(impurities(source)) == found


def test_pure_names_come_from_the_build_file() -> None:
    """Names may be written out or be a constant of the prelude."""
    build_file = 'layers(package="p", pure=[*SHARED, "b"], third_party=["x"])\nother()\n'

    assert pure_names(build_file, 'SHARED = ("a",)') == ("p", ["a", "b"])


def test_a_source_root_without_layers_is_refused() -> None:
    """Nobody forgets to say what is pure."""
    with pytest.raises(ValueError, match="layers"):
        pure_names("python_sources()\n", "")


def test_packages_are_pure_as_a_whole(tmp_path: Path) -> None:
    """A name may be a module or a package; tests are free."""
    (tmp_path / "model").mkdir()
    for name in ("a.py", "model/b.py", "model/b_test.py", "edge.py"):
        (tmp_path / name).touch()

    found = [path.name for path in pure_modules(tmp_path, ["a", "model"])]

    assert found == ["a.py", "b.py"]
