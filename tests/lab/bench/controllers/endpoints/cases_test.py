"""Pods, Services and changes of the bench."""

from collections import Counter

from tests.lab.bench.controllers.endpoints.cases import (
    ALONE_LARGE,
    ALONE_SMALL,
    LARGE_SERVICE,
    QUICK,
    USUAL,
    Size,
    app_of,
    loads,
    service_of,
)


def test_full_size_is_what_was_asked_for() -> None:
    """10,000 Pods, 1,000 Services, one of which has 5,000 endpoints; and a tenth of it."""
    tenth, full = USUAL.sizes
    assert (full.pods, full.services, full.large) == (10_000, 1_000, 5_000)
    assert (tenth.pods, tenth.services, tenth.large) == (1_000, 100, 500)


def test_services_find_as_many_pods_as_they_should() -> None:
    """At each size: what a run waits for is what the Pods' labels give."""
    for size in (*USUAL.sizes, *QUICK.sizes, Size(pods=40, services=4)):
        found = Counter(service_of(pod, size) for pod in range(size.pods))
        del found[None]
        assert found == size.expected()
        assert sum(found.values()) == size.endpoints


def test_a_pod_is_the_same_at_each_size() -> None:
    """So that a cluster grows by more Pods, and the small Services stay small."""
    for pod in range(1_000):
        names = {service_of(pod, size) for size in USUAL.sizes} - {None}
        assert names <= {app_of(pod)}


def test_each_load_leaves_every_pod_as_it_was() -> None:
    """Not ready, then ready again, in that order: both controllers begin with the same."""
    for size in (*USUAL.sizes, Size(pods=40, services=4)):
        for load in loads(size, USUAL):
            states: dict[int, list[bool]] = {}
            for each in load.rounds:
                for change in sorted(each.changes, key=lambda change: change.due_s):
                    states.setdefault(change.pod, []).append(change.ready)
            assert all(found == [False, True] for found in states.values()), load.name


def test_changes_concern_whom_their_load_names() -> None:
    """Small Services one by one, the large one, a third of it, and half of it."""
    full = USUAL.sizes[-1]
    shares = {}
    for load in loads(full, USUAL):
        services = Counter(service_of(c.pod, full) for r in load.rounds for c in r.changes)
        assert None not in services
        shares[load.name] = (services.total(), services[LARGE_SERVICE])
        del services[LARGE_SERVICE]
        # No small Service is met twice as often as another one, so none is held back.
        assert not services or max(services.values()) == 2
    assert shares == {
        ALONE_SMALL: (100, 0),
        ALONE_LARGE: (100, 100),
        "15 a second, a third of the large Service": (300, 100),
        "500 at once": (1000, 500),
    }


def test_a_steady_load_is_steady() -> None:
    """One change after the other, at the rate that it says, the large Service among them."""
    full = USUAL.sizes[-1]
    (steady,) = (load for load in loads(full, USUAL) if "a second" in load.name)
    changes = steady.rounds[0].changes
    assert [change.due_s for change in changes] == [number / 15 for number in range(300)]
    of_large = [n for n, c in enumerate(changes) if service_of(c.pod, full) == LARGE_SERVICE]
    assert of_large == list(range(0, 300, 3))


def test_changes_of_the_large_service_are_all_over_it() -> None:
    """Else only the first of its slices would be written."""
    full = USUAL.sizes[-1]
    (load,) = (load for load in loads(full, USUAL) if load.name == ALONE_LARGE)
    pods = {change.pod for each in load.rounds for change in each.changes}
    assert len({pod // 2 // 100 for pod in pods}) == 50
