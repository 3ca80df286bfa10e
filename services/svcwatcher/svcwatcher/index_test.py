"""Tests of finding the Services that an event concerns."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from danm_api.membership.endpoints import Member
from danm_api.membership.selection import Selection
from danm_api.membership.views import InterfaceView, PodId, PodView, id_of
from danm_api.names import Namespace, PodUid, ServiceName
from danm_api.testing.service_builders import NAMESPACE, a_network, a_pod, a_selection, an_interface
from svcwatcher.index import Index, ServiceKey


def key(name: str, namespace: str = NAMESPACE) -> ServiceKey:
    """Name a Service."""
    return ServiceKey(namespace=Namespace(namespace), name=ServiceName(name))


def test_a_pod_concerns_the_services_that_select_it_on_its_networks() -> None:
    """Neither another network's Service, nor one with other labels, nor another namespace's."""
    # SPEC S1, S3
    index = Index()
    # Alone when it comes, so it is kept under the label that the Pod has.
    index.set_selection(key("labels"), a_selection(app="lb", tier="x"))
    index.set_selection(key("hit"), a_selection(app="lb"))
    index.set_selection(key("network"), a_selection(network="external", app="lb"))
    index.set_selection(key("hit", "other"), a_selection(namespace="other", app="lb"))
    pod = a_pod()
    index.set_interface(None, an_interface(pod, "10.0.0.1"))
    assert index.set_pod(None, pod) == {key("hit")}


def test_pod_and_interface_may_come_in_either_order() -> None:
    """Whichever event is the second one leads to the Service."""
    # SPEC S3
    index = Index()
    index.set_selection(key("hit"), a_selection(app="lb"))
    pod = a_pod()
    interface = an_interface(pod, "10.0.0.1")
    assert index.set_pod(None, pod) == set()
    assert index.set_interface(None, interface) == {key("hit")}
    assert list(index.members(a_selection(app="lb"))) == [Member(pod=pod, interface=interface)]


def test_a_change_of_labels_concerns_the_services_before_and_after() -> None:
    """One loses the Pod, the other gains it."""
    index = Index()
    index.set_selection(key("old"), a_selection(app="lb"))
    index.set_selection(key("new"), a_selection(app="db"))
    pod = a_pod()
    index.set_pod(None, pod)
    index.set_interface(None, an_interface(pod, "10.0.0.1"))
    moved = replace(pod, labels={"app": "db"})
    assert index.set_pod(pod, moved) == {key("old"), key("new")}


def test_a_heartbeat_concerns_nobody() -> None:
    """A Pod whose view is the same costs nothing."""
    # DESIGN P6
    index = Index()
    index.set_selection(key("hit"), a_selection(app="lb"))
    pod = a_pod()
    index.set_pod(None, pod)
    index.set_interface(None, an_interface(pod, "10.0.0.1"))
    assert index.set_pod(pod, a_pod()) == set()


def test_a_pod_of_the_same_name_and_another_uid_replaces_its_predecessor() -> None:
    """A StatefulSet's next Pod shares only the name."""
    index = Index()
    index.set_selection(key("hit"), a_selection(app="lb"))
    first, second = a_pod(uid="1"), a_pod(uid="2")
    index.set_pod(None, first)
    index.set_interface(None, an_interface(first, "10.0.0.1", name="one"))
    assert index.set_pod(first, second) == {key("hit")}
    assert list(index.members(a_selection(app="lb"))) == []


def test_a_static_pod_is_known_by_its_runtimes_uid() -> None:
    """Its interfaces carry the uid that its node knows, not the one of its mirror object."""
    # DESIGN "An ADD"
    index = Index()
    index.set_selection(key("hit"), a_selection(app="lb"))
    pod = replace(a_pod(uid="mirror"), runtime_uid=PodUid("static"))
    interface = an_interface(pod, "10.0.0.1")
    index.set_interface(None, interface)
    assert index.set_pod(None, pod) == {key("hit")}
    assert list(index.members(a_selection(app="lb"))) == [Member(pod=pod, interface=interface)]


def test_a_forged_uid_takes_nothing_out_of_another_namespace() -> None:
    """The uid of a static Pod is an annotation that anybody may write."""
    index = Index()
    pod = a_pod(uid="u")
    interface = an_interface(pod, "10.0.0.1")
    index.set_pod(None, pod)
    index.set_interface(None, interface)
    forged = a_pod("thief", uid="u", namespace="other")
    index.set_pod(None, forged)
    assert list(index.members(a_selection(namespace="other", app="lb"))) == []
    index.set_pod(forged, None)
    assert list(index.members(a_selection(app="lb"))) == [Member(pod=pod, interface=interface)]


def test_a_node_publishes_nothing_for_pods_of_other_nodes() -> None:
    """Neither an interface nor a mirror Pod of another node counts, whatever uid it bears."""
    # DESIGN, "A rooted node must stay one node"
    index = Index()
    index.set_selection(key("hit"), a_selection(app="lb"))
    pod = a_pod(uid="u")
    interface = an_interface(pod, "10.0.0.1")
    index.set_pod(None, pod)
    index.set_interface(None, interface)
    mirror = a_pod("mirror", uid="u", node="rooted", labels={})
    assert index.set_interface(None, an_interface(mirror, "10.0.0.66", name="forged")) == set()
    index.set_pod(None, mirror)
    assert list(index.members(a_selection(app="lb"))) == [Member(pod=pod, interface=interface)]
    index.set_pod(mirror, None)
    assert list(index.members(a_selection(app="lb"))) == [Member(pod=pod, interface=interface)]


def test_a_pod_is_found_once_it_has_its_node() -> None:
    """A Pod that was seen before it was scheduled is the same one afterwards."""
    index = Index()
    index.set_selection(key("hit"), a_selection(app="lb"))
    pod = a_pod()
    waiting = replace(pod, node=None)
    interface = an_interface(pod, "10.0.0.1")
    index.set_pod(None, waiting)
    index.set_pod(waiting, pod)
    assert index.set_interface(None, interface) == {key("hit")}
    assert list(index.members(a_selection(app="lb"))) == [Member(pod=pod, interface=interface)]
    index.set_pod(pod, None)
    index.set_interface(interface, None)
    index.set_selection(key("hit"), None)
    assert vars(index) == vars(Index())


def test_nothing_is_left_of_what_has_gone() -> None:
    """Memory follows what exists."""
    # DESIGN P6
    index, empty = Index(), Index()
    pod = a_pod()
    interface = an_interface(pod, "10.0.0.1")
    index.set_selection(key("hit"), a_selection(app="lb"))
    index.set_pod(None, pod)
    index.set_interface(None, interface)
    index.set_pod(pod, None)
    index.set_interface(interface, None)
    index.set_selection(key("hit"), None)
    assert vars(index) == vars(empty)


def test_a_service_that_asks_for_something_else_is_read_anew() -> None:
    """Which Pods have changed means nothing for another selection, nor for nobody who follows."""
    # SPEC S3
    index = Index()
    index.set_selection(key("hit"), a_selection(app="lb"))
    assert index.take_changed(key("hit")) is None
    index.follow(key("hit"))
    pod = a_pod()
    index.set_interface(None, an_interface(pod, "10.0.0.1"))
    index.set_pod(None, pod)
    assert index.take_changed(key("hit")) == {id_of(pod)}
    assert index.take_changed(key("hit")) == set()
    index.set_selection(key("hit"), a_selection(network="external", app="lb"))
    assert index.take_changed(key("hit")) is None
    index.follow(key("hit"))
    index.unfollow(key("hit"))
    assert index.take_changed(key("hit")) is None


def test_a_network_concerns_the_services_that_name_it() -> None:
    """Whatever labels they ask for; neither another network's nor another namespace's."""
    # SPEC S4, DESIGN P6
    index = Index()
    internal = a_network()
    assert set(index.services_naming(internal)) == set()
    index.set_selection(key("one"), a_selection(app="lb"))
    index.set_selection(key("two"), a_selection(app="db"))
    index.set_selection(key("three"), a_selection("external", app="lb"))
    index.set_selection(key("one", "other"), a_selection(namespace="other", app="lb"))
    assert set(index.services_naming(internal)) == {key("one"), key("two")}
    index.set_selection(key("two"), a_selection("external", app="db"))
    index.set_selection(key("one"), None)
    assert set(index.services_naming(internal)) == set()


NAMESPACES = ("a", "b")
NODES = ("n1", "n2")
LABELS = st.dictionaries(st.sampled_from("xyz"), st.sampled_from("12"), max_size=3)


class IndexMachine(RuleBasedStateMachine):
    """The index against a model that walks over everything.

    After each event, every Service whose members changed must be among those that the index named,
    and the index must know the members of each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.index = Index()
        self.selections: dict[ServiceKey, Selection] = {}
        self.pods: dict[tuple[str, str], PodView] = {}
        self.interfaces: dict[tuple[str, str], InterfaceView] = {}
        self.known: dict[ServiceKey, set[tuple[str, str, bool]]] = {}
        self.followed: dict[ServiceKey, dict[PodId, list[Member]]] = {}

    def slow_members(self, selection: Selection) -> set[tuple[str, str, bool]]:
        """Walk over everything."""
        return {
            (pod.uid, interface.name, pod.ready)
            for pod in self.pods.values()
            for interface in self.interfaces.values()
            if pod.namespace == selection.namespace == interface.namespace
            and interface.pod_uid == pod.runtime_uid
            and interface.node == pod.node
            and interface.network == selection.network
            and all(pod.labels.get(k) == v for k, v in selection.labels)
        }

    def check_affected(self, affected: set[ServiceKey]) -> None:
        """Compare who changed with who was named, and remember the state."""
        now = {key: self.slow_members(s) for key, s in self.selections.items()}
        changed = {key for key, members in now.items() if members != self.known.get(key, set())}
        assert changed <= affected
        self.known = now

    @rule(
        namespace=st.sampled_from(NAMESPACES),
        name=st.sampled_from("pqr"),
        network=st.sampled_from(["n", "m"]),
        labels=LABELS,
    )
    def select_or_not(
        self, namespace: str, name: str, network: str, labels: dict[str, str]
    ) -> None:
        """A Service appears, changes, or stops asking."""
        service = key(name, namespace)
        selection = a_selection(network, namespace, **labels) if labels else None
        self.index.set_selection(service, selection)
        self.selections.pop(service, None)
        if selection is not None:
            self.selections[service] = selection
            self.known[service] = self.slow_members(selection)

    @rule(
        namespace=st.sampled_from(NAMESPACES),
        name=st.sampled_from("uvw"),
        generation=st.integers(0, 1),
        labels=LABELS,
        node=st.sampled_from(NODES),
        ready=st.booleans(),
    )
    def set_pod(
        self,
        namespace: str,
        name: str,
        generation: int,
        labels: dict[str, str],
        node: str,
        *,
        ready: bool,
    ) -> None:
        """A Pod appears, changes, or is replaced by another of its name."""
        pod = a_pod(
            name,
            uid=f"{namespace}-{name}-{generation}",
            namespace=namespace,
            labels=labels,
            node=node,
            ready=ready,
        )
        old = self.pods.get((namespace, name))
        self.pods[namespace, name] = pod
        self.check_affected(self.index.set_pod(old, pod))

    @rule(namespace=st.sampled_from(NAMESPACES), name=st.sampled_from("uvw"))
    def delete_pod(self, namespace: str, name: str) -> None:
        """A Pod goes, its interfaces may stay for a while."""
        old = self.pods.pop((namespace, name), None)
        self.check_affected(self.index.set_pod(old, None))

    @rule(
        namespace=st.sampled_from(NAMESPACES),
        pod=st.sampled_from("uvw"),
        generation=st.integers(0, 1),
        name=st.sampled_from("ij"),
        network=st.sampled_from(["n", "m"]),
        node=st.sampled_from(NODES),
    )
    def set_interface(
        self, namespace: str, pod: str, generation: int, name: str, network: str, node: str
    ) -> None:
        """An interface appears, or becomes another Pod's or network's."""
        uid = f"{namespace}-{pod}-{generation}"
        owner = a_pod(pod, uid=uid, namespace=namespace, node=node)
        interface = an_interface(owner, network=network, name=name)
        old = self.interfaces.get((namespace, name))
        self.interfaces[namespace, name] = interface
        self.check_affected(self.index.set_interface(old, interface))

    @rule(namespace=st.sampled_from(NAMESPACES), name=st.sampled_from("ij"))
    def delete_interface(self, namespace: str, name: str) -> None:
        """An interface goes."""
        old = self.interfaces.pop((namespace, name), None)
        self.check_affected(self.index.set_interface(old, None))

    @invariant()
    def members_are_those_of_the_slow_model(self) -> None:
        """What the index finds by its keys is what a walk over everything finds."""
        for selection in self.selections.values():
            found = {
                (str(m.pod.uid), m.interface.name, m.pod.ready)
                for m in self.index.members(selection)
            }
            assert found == self.slow_members(selection)

    @rule()
    def follow_pod_by_pod(self) -> None:
        """Reading only the Pods that are named as changed is as good as reading all."""
        for key, selection in self.selections.items():
            changed = self.index.take_changed(key)
            if changed is None:
                self.followed[key] = {}
                for member in self.index.members(selection):
                    self.followed[key].setdefault(id_of(member.pod), []).append(member)
                self.index.follow(key)
            for pod_id in changed or ():
                self.followed[key][pod_id] = list(self.index.members_of(pod_id, selection))
            found = {
                (str(m.pod.uid), m.interface.name, m.pod.ready)
                for members in self.followed[key].values()
                for m in members
            }
            assert found == self.slow_members(selection)


IndexMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestIndexMachine = IndexMachine.TestCase


def test_the_work_for_one_pod_does_not_grow_with_the_cluster() -> None:
    """A label that all Services ask for leads to one of them, not to all.

    Counts look-ups rather than time: the buckets that the event of one Pod meets stay small.
    """
    # SPEC S3, DESIGN P6
    index = Index()
    for number in range(200):
        index.set_selection(key(f"s{number}"), a_selection(part="vnf", app=f"a{number}"))
    buckets = index.bucket_sizes()
    assert max(buckets) == 1
    pod = a_pod(uid=PodUid("u"), labels={"part": "vnf", "app": "a7"})
    index.set_pod(None, pod)
    assert index.set_interface(None, an_interface(pod, "10.0.0.1")) == {key("s7")}
