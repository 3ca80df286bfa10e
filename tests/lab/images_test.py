"""The lab's images."""

import pytest

from tests.lab.images import full_name


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
