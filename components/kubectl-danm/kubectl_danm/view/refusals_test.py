"""What people are told when the API server refuses."""

import pytest

from danm_api.errors import (
    ApiError,
    ApiUnavailableError,
    DanmError,
    KindNotServedError,
    NotFoundError,
)
from kubectl_danm.view.refusals import explain, is_refusal


def forbidden(resource: str, group: str, where: str, *, user: str = "jane") -> ApiError:
    """Return the error of Kubernetes' own refusal."""
    return ApiError(
        f'GET {resource}: {resource} is forbidden: User "{user}" cannot list resource "{resource}"'
        f' in API group "{group}" {where}',
        status=403,
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(
            forbidden("danmnets", "danm.k8s.io", 'in the namespace "vnf"'),
            "jane lacks the right to list danmnets.danm.k8s.io in namespace vnf. The role view has"
            " it: kubectl -n vnf create rolebinding danm-look --clusterrole=view --user=jane",
            id="tenant",
        ),
        pytest.param(
            forbidden("pods", "", "at the cluster scope", user="system:serviceaccount:ci:bot"),
            "system:serviceaccount:ci:bot lacks the right to list pods in all namespaces. An"
            " administrator gives it by kubectl create clusterrole danm-look --verb=list"
            " --resource=pods, and kubectl create clusterrolebinding danm-look"
            " --clusterrole=danm-look --serviceaccount=ci:bot (or name one namespace by -n)",
            id="service-account-everywhere",
        ),
        pytest.param(
            ApiError("GET nodes: a webhook says no", status=403),
            "a webhook says no. Ask an administrator",
            id="in-other-words",
        ),
        pytest.param(ApiError("GET pods: Unauthorized", status=401), "Renew", id="unknown"),
        pytest.param(ApiUnavailableError("no answer", status=0), "Try again", id="away"),
        pytest.param(
            KindNotServedError("GET danmnets vnf: 404 page not found"),
            "DANM is not installed in this cluster, or not all of it: GET danmnets vnf: 404 page"
            " not found. Install it (kubectl apply --server-side -k deploy",
            id="not-installed",
        ),
        pytest.param(NotFoundError("no such thing"), "no such thing", id="any-other"),
    ],
)
def test_each_names_the_way_out(error: DanmError, said: str) -> None:
    """The sentence names who lacks which right where, and the command that gives it."""
    # DESIGN P7
    assert said in explain(error)


def test_only_a_refusal_is_one() -> None:
    """Who cannot be reached has refused nothing."""
    assert is_refusal(forbidden("pods", "", ""))
    assert not is_refusal(ApiUnavailableError("no answer", status=0))
