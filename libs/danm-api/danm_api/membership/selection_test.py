"""Tests of reading a Service's annotations."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danm_api.membership.selection import (
    NETWORK_ANNOTATION,
    SELECTOR_ANNOTATION,
    TOLERATE_UNREADY_ANNOTATION,
    NotOurs,
    Refusal,
    Selection,
    select,
)
from danm_api.model.service import Service
from danm_api.names import Namespace, NetworkName
from danm_api.testing.service_builders import a_service


def test_reads_selector_and_network() -> None:
    """Both annotations of a headless Service without selector make a selection."""
    # SPEC S1
    expected = Selection(
        namespace=Namespace("vnf"),
        network=NetworkName("internal"),
        labels=(("app", "lb"), ("tier", "front")),
    )
    assert select(a_service(selector={"tier": "front", "app": "lb"})) == expected


@pytest.mark.parametrize(
    ("service", "tolerant"),
    [
        pytest.param(a_service(), False, id="neither"),
        pytest.param(a_service(publish_not_ready=True), True, id="field"),
        pytest.param(
            a_service(annotations={TOLERATE_UNREADY_ANNOTATION: "true"}), True, id="annotation"
        ),
        pytest.param(
            a_service(annotations={TOLERATE_UNREADY_ANNOTATION: "false"}), False, id="said-false"
        ),
    ],
)
def test_unready_pods_are_tolerated_in_either_spelling(service: Service, *, tolerant: bool) -> None:
    """The old annotation and today's field mean the same."""
    # SPEC S1
    selection = select(service)
    assert isinstance(selection, Selection)
    assert selection.tolerate_unready is tolerant


@pytest.mark.parametrize(
    ("service", "said"),
    [
        pytest.param(a_service(selector="{app: lb}"), "not JSON", id="yaml"),
        pytest.param(a_service(selector=""), "not JSON", id="empty-text"),
        pytest.param(a_service(selector="[" * 100_000), "not JSON", id="deep-nesting"),
        pytest.param(a_service(selector='["app"]'), "no map", id="list"),
        pytest.param(a_service(selector='{"app": 1}'), "no map of text", id="number"),
        pytest.param(a_service(selector="{}"), "is empty", id="selects-all"),
        pytest.param(a_service(selector={"app": "a b"}), "lets no Pod have", id="value-of-none"),
        pytest.param(a_service(selector={"app": "x" * 64}), "lets no Pod have", id="long-value"),
        pytest.param(a_service(selector={"a/b/c": "x"}), "lets no Pod have", id="key-of-none"),
        pytest.param(a_service(selector={"": "x"}), "lets no Pod have", id="no-key"),
        pytest.param(a_service(network=None), "danm.k8s.io/network is missing", id="no-network"),
        pytest.param(a_service(network=""), "no DanmNet's name", id="empty-network"),
        pytest.param(a_service(network="Other/Net"), "no DanmNet's name", id="bad-network"),
        pytest.param(a_service(headless=False), "not headless", id="cluster-ip"),
        pytest.param(
            a_service(kubernetes_selector={"app": "lb"}), "spec.selector is set", id="selector"
        ),
    ],
)
def test_what_cannot_be_served_is_refused_with_the_way_out(service: Service, said: str) -> None:
    """The reason names what is wrong."""
    # SPEC S4
    verdict = select(service)
    assert isinstance(verdict, Refusal)
    assert said in verdict.reason


@pytest.mark.parametrize(
    "service",
    [
        pytest.param(
            Service(
                namespace=Namespace("a"),
                name=a_service().name,
                uid=a_service().uid,
                annotations={"other": "annotation"},
                headless=True,
            ),
            id="no-annotations",
        ),
        pytest.param(a_service(deleting=True), id="being-deleted"),
    ],
)
def test_other_services_are_left_alone(service: Service) -> None:
    """A Service without DANM's annotations is none of its business."""
    # SPEC S2
    assert select(service) == NotOurs()


@settings(deadline=None)
@given(st.text(), st.text())
def test_no_annotation_ends_in_an_exception(selector: str, network: str) -> None:
    """Whatever a tenant writes, the answer is a verdict."""
    # SPEC S4
    service = a_service(annotations={SELECTOR_ANNOTATION: selector, NETWORK_ANNOTATION: network})
    assert isinstance(select(service), Selection | Refusal)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("app.kubernetes.io/part-of", "VNF_1.2-b", id="prefixed"),
        pytest.param("x" * 63, "y" * 63, id="long"),
        pytest.param("canary", "", id="empty-value"),
    ],
)
def test_whatever_a_pod_may_be_labelled_with_may_be_asked_for(key: str, value: str) -> None:
    """Prefixes, capitals, and labels that only mark."""
    # SPEC S1
    selection = select(a_service(selector={key: value}))
    assert isinstance(selection, Selection)
    assert selection.labels == ((key, value),)


@pytest.mark.parametrize(
    ("labels", "admitted"),
    [
        ({"app": "lb", "tier": "front", "more": "x"}, True),
        ({"app": "lb"}, False),
        ({"app": "lb", "tier": "back"}, False),
        ({}, False),
    ],
)
def test_all_labels_must_match(labels: dict[str, str], *, admitted: bool) -> None:
    """One missing or different label is enough to stay out."""
    # SPEC S1
    selection = select(a_service(selector={"app": "lb", "tier": "front"}))
    assert isinstance(selection, Selection)
    assert selection.admits(labels) is admitted
