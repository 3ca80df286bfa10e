"""Objects that pages show are what a real API server with DANM's kinds and policies takes."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.docs.pages import REPOSITORY, documents, is_api_object, pages
from tests.lab.apiserver import ApiServer
from tests.lab.kubectl import Kubectl
from tests.lab.process import wait_until

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

_IN_FORCE_S: Final = 60.0

_REFUSED: Final = {
    "apiVersion": "danm.k8s.io/v1",
    "kind": "DanmNet",
    "metadata": {"name": "probe", "namespace": "default"},
    "spec": {"NetworkID": "probe", "Options": {"allocation_pool": {"start": "10.0.0.1"}}},
}


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Yield a caller of kubectl on a server on which deploy/ is applied and in force."""
    with ApiServer.start(tmp_path_factory.mktemp("server")) as server:
        call = Kubectl.on(server)
        applied = call("apply", "--server-side", "-k", str(REPOSITORY / "deploy"))
        assert applied.returncode == 0, applied.stderr
        # The server tells nobody when it begins to hold to a policy.
        wait_until(
            lambda: "ValidatingAdmissionPolicy" in dry_run(call, _REFUSED),
            what="The policy for DanmNets is in force",
            timeout_s=_IN_FORCE_S,
        )
        yield call


def dry_run(kubectl: Kubectl, shown: object) -> str:
    """Return what the server says against an object; empty for nothing."""
    done = kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=shown
    )
    return done.stderr if done.returncode != 0 else ""


def _objects() -> list[tuple[str, dict[str, Any]]]:
    """Return all whole objects of all pages, with their places."""
    return [
        (f"{page.name}:{block.line}", document)
        for page in pages()
        for block in page.blocks
        if block.language == "yaml" and not block.not_run
        for document in documents(block)
        if is_api_object(document)
    ]


def test_a_server_takes_what_pages_show(kubectl: Kubectl) -> None:
    """No field is misspelt, of another type, or against DANM's rules."""
    shown = _objects()
    assert shown
    made = {"default"}
    refused = []
    for place, document in shown:
        namespace = document["metadata"].get("namespace", "default")
        if namespace not in made:
            # A dry run needs a real one.
            kubectl("create", "namespace", namespace)
            made.add(namespace)
        if said := dry_run(kubectl, document):
            refused.append(f"{place}: {said.strip()}")
    assert refused == []


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [
        pytest.param(_REFUSED, "stands without cidr", id="rule"),
        pytest.param(
            _REFUSED | {"spec": {"NetworkID": "probe", "Option": {}}}, "not declared", id="misspelt"
        ),
    ],
)
def test_what_is_wrong_would_be_found(
    kubectl: Kubectl, shown: dict[str, Any], sentence: str
) -> None:
    """The server of this test is one that refuses."""
    assert sentence in dry_run(kubectl, shown)
