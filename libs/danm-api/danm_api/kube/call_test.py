"""A request says what it is about, to the API server and to people."""

import pytest

from danm_api.kube.api import DANMNETS, NODES, Answer, Resource
from danm_api.kube.call import Call

NETS = "/apis/danm.k8s.io/v1"


@pytest.mark.parametrize(
    ("resource", "namespace", "name", "subresource", "path", "title"),
    [
        (DANMNETS, None, "", "", f"{NETS}/danmnets", "GET danmnets"),
        (DANMNETS, "ns", "", "", f"{NETS}/namespaces/ns/danmnets", "GET danmnets ns"),
        (DANMNETS, "ns", "a", "", f"{NETS}/namespaces/ns/danmnets/a", "GET danmnets ns/a"),
        (NODES, None, "n1", "status", "/api/v1/nodes/n1/status", "GET nodes n1/status"),
    ],
)
def test_a_call_has_a_path_and_a_title(
    resource: Resource, namespace: str | None, name: str, subresource: str, path: str, title: str
) -> None:
    """Of all, of a namespace's, of one, of a part of one."""
    call = Call(
        method="GET", resource=resource, namespace=namespace, name=name, subresource=subresource
    )
    assert (call.path, call.title) == (path, title)
    assert call.data() is None
    assert call.headers == {"Accept": "application/json"}


def test_a_body_tells_what_it_is() -> None:
    """And what is asked for is told beside it."""
    call = Call(
        method="PUT",
        resource=NODES,
        namespace=None,
        name="n1",
        body={"a": 1},
        answer=Answer.METADATA,
    )
    assert call.data() == b'{"a":1}'
    assert call.headers == {"Accept": Answer.METADATA, "Content-Type": "application/json"}
