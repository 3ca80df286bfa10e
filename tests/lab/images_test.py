"""The lab's images."""

from pathlib import Path

import pytest

from tests.lab.binaries import Binaries
from tests.lab.cache import Cache
from tests.lab.images import Images, full_name
from tests.lab.progress import Progress


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("danm/ipam-svc:0.1.0", "localhost/danm/ipam-svc:0.1.0", id="built here"),
        pytest.param("danm-cni:1", "localhost/danm-cni:1", id="one word with tag"),
        pytest.param("localhost/lab/pause:1", "localhost/lab/pause:1", id="full already"),
        pytest.param("registry.example/a:1", "registry.example/a:1", id="registry"),
        pytest.param("registry:5000/a:1", "registry:5000/a:1", id="registry with port"),
    ],
)
def test_a_name_without_registry_is_local(name: str, expected: str) -> None:
    """No runtime takes an image that was built here for one of a public registry."""
    assert full_name(name) == expected


def test_old_images_that_cannot_be_removed_are_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No lab fails on them."""
    engine = tmp_path / "docker"
    engine.write_text("#!/bin/sh\necho 'Error: image is in use' >&2\nexit 125\n")
    engine.chmod(0o755)
    cache, progress = Cache(directory=tmp_path), Progress()

    Images(cache, Binaries(cache, progress), progress, engine).prune()

    assert "Not all old images are removed" in capsys.readouterr().err
