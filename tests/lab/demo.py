"""The seed's demo: applied, looked at from all sides, and removed."""

import functools
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from rich.console import Console
from rich.table import Table

from tests.lab.cluster import Cluster, objects, pod_exec
from tests.lab.demo_facts import (
    APPS,
    CLUSTER_DOMAIN,
    DNS_SERVER,
    EXTERNAL_CLIENT,
    LINKS,
    LOADBALANCER,
    NAMESPACES,
    PROCESSOR,
    SERVICES,
    VNF,
    RunningPod,
    endpoint_problems,
    interface_problems,
)
from tests.lab.errors import LabError, StartError
from tests.lab.follow import follow_scaling
from tests.lab.installation import SYSTEM_NAMESPACE, Overlay, image_names
from tests.lab.process import wait_until
from tests.lab.progress import Progress

# Starting ten Pods on two emulated nodes takes well under a minute.
_PODS_RUNNING_S: Final = 240.0
_GONE_S: Final = 300.0
# On a machine with other work; whoever does nothing wrong does it within seconds.
_SETTLE_S: Final = 120.0
_POLL_S: Final = 0.5
# ping.py tries for a minute.
_PROGRAM_S: Final = 90.0
_LOG_WIDTH: Final = 160
# An exec costs the nodes' single processors most of a second.
_EXECS_AT_ONCE: Final = 4
# The promise: look-ups follow a Pod's readiness or deletion mark.
FOLLOW_WITHIN_S: Final = 2.0


T = TypeVar("T")


class DemoFailedError(LabError):
    """The demo does not show what it must."""

    def __init__(self, what: str, problems: Sequence[str]) -> None:
        """Join the problems."""
        super().__init__(what + ":" + "".join(f"\n  - {problem}" for problem in problems))


def patiently(ask: Callable[[], T], *, timeout_s: float = _SETTLE_S) -> T:
    """Ask again what fails, since it may be a node that stands still for a while.

    Raises:
        LabError: It still failed at the end of the time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return ask()
        except LabError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_POLL_S)


def is_refused(connect: Callable[[], object]) -> bool:
    """Say whether a connection is refused, or taken.

    Raises:
        LabError: Nobody has answered: that shows no closed port.
    """
    try:
        connect()
    except LabError as error:
        if "Connection refused" in str(error):
            return True
        raise
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """How the demo differs from cluster to cluster.

    Attributes:
        image_prefix: Of the demo's image.
        dns_image: Full name of a CoreDNS image.
        external_device: The node's NIC for the VLAN.
        internal_device: The node's NIC for the VXLAN.
        management_type: The static delegate that makes the Pods' eth0.
    """

    image_prefix: str
    dns_image: str
    external_device: str = "ens4"
    internal_device: str = "ens3"
    management_type: str = "flannel"

    def patches(self) -> list[dict[str, Any]]:
        """Return what must change in the DanmNets."""

        def patch(name: str, path: str, value: str) -> dict[str, Any]:
            operation = [{"op": "replace", "path": path, "value": value}]
            return {"target": {"kind": "DanmNet", "name": name}, "patch": json.dumps(operation)}

        return [
            patch("external", "/spec/Options/host_device", self.external_device),
            patch("internal", "/spec/Options/host_device", self.internal_device),
            patch("management", "/spec/NetworkType", self.management_type),
        ]


class Demo:
    """The demo on one cluster. DANM is installed."""

    def __init__(
        self,
        cluster: Cluster,
        repository: Path,
        progress: Progress,
        *,
        work: Path,
        options: DemoOptions,
    ) -> None:
        """Take what is needed; see Installation."""
        self._cluster = cluster
        self._progress = progress
        self._options = options
        # A log is read with whatever width; a terminal knows its own.
        width = None if sys.stdout.isatty() else _LOG_WIDTH
        self._console = Console(highlight=False, width=width, soft_wrap=True)
        coredns = {"coredns/coredns": options.dns_image}
        self._overlay = Overlay(
            directory=work / "seed-demo",
            base=repository / "examples" / "seed-demo",
            images=image_names(options.image_prefix) | coredns,
            patches=options.patches(),
        )

    def run(self, *, follow_within_s: float = FOLLOW_WITHIN_S) -> None:
        """Apply the demo and show that it works.

        Args:
            follow_within_s: How late look-ups may follow Pods. More than the promise only where
                other work takes the processors that the lab runs on.

        Raises:
            LabError: Something is not as it must be; the message names it.
        """
        with self._progress.step("The demo: kubectl apply -k examples/seed-demo"):
            self._cluster.kubectl("apply", "-k", str(self._overlay.write()))
        with self._progress.step("Its 9 Pods and its DNS Pod Running"):
            self._wait(self._all_ready, "All Pods of the demo are ready", _PODS_RUNNING_S)
        pods = self.pods()
        self._show_pods(pods)
        with self._progress.step("Interfaces: kind, parent, address"):
            self._check_interfaces(pods)
        with self._progress.step("Ping over VXLAN and VLAN, across the nodes"):
            self._check_pings(pods)
        with self._progress.step("Service look-ups"):
            self._check_services(pods)
        with self._progress.step("A request through load balancer and processor"):
            answer = self._check_request()
        self._console.print(f"    {answer}", markup=False)
        with self._progress.step("packets_served on the management network alone"):
            self._check_metric(pods)
        with self._progress.step("Used and free addresses"):
            self._wait(lambda: not self._usage_problems(), "The DanmNets' counts", _SETTLE_S)
        self._show_networks()
        with self._progress.step("internal-processor scaled to 3 and to 6: look-ups follow"):
            self._check_scaling(pods, follow_within_s)

    def remove(self) -> None:
        """Delete the demo and check that nothing of it remains.

        Raises:
            LabError: Something remains; the message names it.
        """
        with self._progress.step("The demo: kubectl delete -k examples/seed-demo"):
            self._cluster.kubectl(
                "delete", "-k", str(self._overlay.write()), "--ignore-not-found",
                f"--timeout={_GONE_S:.0f}s", timeout_s=_GONE_S + 30,
            )  # fmt: skip
        with self._progress.step("Nothing remains: links, DanmEps, blocks, endpoints"):
            self._wait(lambda: not self.leftovers(), "Nothing remains", _SETTLE_S)

    def leftovers(self) -> list[str]:
        """Return what the demo left behind, in words."""
        found = []
        for kind in ("danmeps", "danmipblocks", "danmnets", "endpointslices", "endpoints"):
            for raw in objects(self._cluster, kind, "-A"):
                metadata = raw["metadata"]
                if metadata["namespace"] in NAMESPACES:
                    found.append(f"{kind} {metadata['namespace']}/{metadata['name']}")
        for node, pod in self._system_pods("danm-netwatcher").items():
            links = pod_exec(self._cluster, SYSTEM_NAMESPACE, pod, ["ls", "/sys/class/net"])
            found += [f"link {link} on {node}" for link in links.split() if link in LINKS]
        return found

    def pods(self) -> list[RunningPod]:
        """Return the demo's Pods that are not being deleted."""
        addresses: dict[str, dict[str, str]] = {}
        for namespace in NAMESPACES:
            for raw in objects(self._cluster, "danmeps", "-n", namespace):
                spec = raw["spec"]
                interface = spec["Interface"]
                of_pod = addresses.setdefault(f"{namespace}/{spec['Pod']}", {})
                of_pod[interface["Name"]] = interface.get("Address", "")
        return [
            RunningPod(
                app=app,
                name=raw["metadata"]["name"],
                node=raw["spec"].get("nodeName", ""),
                addresses=addresses.get(f"{app.namespace}/{raw['metadata']['name']}", {}),
            )
            for app in APPS
            for raw in objects(self._cluster, "pods", "-n", app.namespace, "-l", f"app={app.name}")
            if "deletionTimestamp" not in raw["metadata"]
        ]

    def _all_ready(self) -> bool:
        return all(
            objects(self._cluster, "deployment", app.name, "-n", app.namespace)[0]
            .get("status", {})
            .get("readyReplicas")
            == app.replicas
            for app in APPS
        )

    def _wait(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        try:
            wait_until(condition, what=what, timeout_s=timeout_s, poll_s=_POLL_S)
        except StartError as error:
            raise LabError(f"{error}\n{self._explain()}") from error

    def _explain(self) -> str:
        """Return what a person would look at when the demo does not come up."""
        parts = [*self.leftovers(), *self._usage_problems()]
        for namespace in NAMESPACES:
            for words in (
                ("get", "pods,danmnets", "-o", "wide"),
                ("get", "events", "--field-selector=type=Warning", "--sort-by=.lastTimestamp"),
            ):
                try:
                    parts.append(self._cluster.kubectl(*words, "-n", namespace))
                except LabError as error:
                    parts.append(str(error))
        return "\n".join(parts)

    def _system_pods(self, name: str) -> dict[str, str]:
        """Return the Pod of a DaemonSet by node."""
        selector = f"app.kubernetes.io/name={name}"
        found = objects(self._cluster, "pods", "-n", SYSTEM_NAMESPACE, "-l", selector)
        return {
            raw["spec"]["nodeName"]: raw["metadata"]["name"]
            for raw in found
            if "deletionTimestamp" not in raw["metadata"]
        }

    def _link_indices(self, node: str, pod: str) -> dict[str, int]:
        """Return the index of each host link of a node, after a look at its kind and parent."""
        devices = {
            "external": self._options.external_device,
            "internal": self._options.internal_device,
        }
        indices, problems = {}, []
        for name, link in LINKS.items():
            base = f"/sys/class/net/{name}"
            parent = f"/sys/class/net/{devices[link.device]}/ifindex"
            files = [f"{base}/ifindex", f"{base}/iflink", parent, f"{base}/uevent"]
            answer = pod_exec(self._cluster, SYSTEM_NAMESPACE, pod, ["cat", *files]).split()
            indices[name] = int(answer[0])
            if f"DEVTYPE={link.kind}" not in answer:
                problems.append(f"{name} on {node} is no {link.kind}")
            # A VXLAN link does not tell its parent here: iflink is its own index.
            if link.kind == "vlan" and answer[1] != answer[2]:
                problems.append(f"{name} on {node} does not hang on {devices[link.device]}")
        if problems:
            raise DemoFailedError("Host links", problems)
        return indices

    def _check_interfaces(self, pods: Sequence[RunningPod]) -> None:
        watchers = self._system_pods("danm-netwatcher")
        links = {node: self._link_indices(node, pod) for node, pod in watchers.items()}

        def problems(pod: RunningPod) -> list[str]:
            found = endpoint_problems(pod)
            # CoreDNS' image has no Python to look with; that it answers the client shows enough.
            if pod.app is not DNS_SERVER:
                seen = json.loads(self._program(pod, "interfaces.py"))
                found += interface_problems(pod, seen, links[pod.node])
            return found

        with ThreadPoolExecutor(_EXECS_AT_ONCE) as pool:
            found = [problem for part in pool.map(problems, pods) for problem in part]
        if found:
            raise DemoFailedError("Interfaces", found)

    def _check_pings(self, pods: Sequence[RunningPod]) -> None:
        balancers = [pod for pod in pods if pod.app is LOADBALANCER]
        source = balancers[0]
        targets: list[tuple[str, str]] = []
        for interface, candidates in (
            ("ext", balancers),
            ("int", [pod for pod in pods if pod.app is PROCESSOR]),
        ):
            far = next((pod for pod in candidates if pod.node != source.node), None)
            if far is None:
                raise DemoFailedError("Pings", [f"no Pod with {interface} is on another node"])
            targets.append((interface, far.address(interface)))
        for interface, address in targets:
            ping = ("ping.py", address, "--source", source.address(interface))
            answer = patiently(functools.partial(self._program, source, *ping))
            self._console.print(f"    {source.name} ({interface}): {answer.strip()}", markup=False)

    def _check_services(self, pods: Sequence[RunningPod]) -> None:
        asker = next(pod for pod in pods if pod.app is LOADBALANCER)
        outside = next(pod for pod in pods if pod.app is EXTERNAL_CLIENT)
        for service, (app, interface) in SERVICES.items():
            name = f"{service}.{VNF}.svc.{CLUSTER_DOMAIN}"
            expected = sorted(pod.address(interface) for pod in pods if pod.app is app)
            for pod in (asker, outside) if service == "vnf-external-svc" else (asker,):
                self._wait(
                    functools.partial(self._answers, pod, name, expected),
                    f"{name}, asked by {pod.name}, is {', '.join(expected)}",
                    _SETTLE_S,
                )
            self._console.print(f"    {name} = {', '.join(expected)}", markup=False)

    def _answers(self, pod: RunningPod, name: str, expected: Sequence[str]) -> bool:
        return self._look_up(pod, name) == list(expected)

    def _look_up(self, pod: RunningPod, name: str) -> list[str]:
        return sorted(json.loads(self._program(pod, "lookup.py", name)))

    def _check_request(self) -> str:
        client = next(pod for pod in self.pods() if pod.app is EXTERNAL_CLIENT)
        ask = functools.partial(self._program, client, "external_client.py", "--once")
        answer = patiently(ask).strip()
        if "| processor internal-processor-" not in answer or "| loadbalancer" not in answer:
            raise DemoFailedError("The request", [f"came back as: {answer}"])
        return answer

    def _check_metric(self, pods: Sequence[RunningPod]) -> None:
        """Read the metric on eth0, and find the same port closed on the other networks."""
        reader = next(pod for pod in pods if pod.app is PROCESSOR)
        balancer = next(pod for pod in pods if pod.app is LOADBALANCER)
        script = (
            "import sys, urllib.request as r; "
            "print(r.urlopen(f'http://{sys.argv[1]}:9100/metrics', timeout=20).read().decode())"
        )

        def read(interface: str) -> str:
            command = ["python3", "-c", script, balancer.address(interface)]
            return pod_exec(self._cluster, VNF, reader.name, command)

        page = patiently(lambda: read("eth0"))
        if "packets_served " not in page:
            raise DemoFailedError("The metric", [f"eth0 of {balancer.name} shows: {page}"])
        if not patiently(lambda: is_refused(lambda: read("int"))):
            raise DemoFailedError("The metric", ["is served on the internal network too"])

    def _usage_problems(self) -> list[str]:
        """Compare the DanmNets' counts with the Pods that there are."""
        held: dict[str, int] = {}
        for app in APPS:
            for interface in app.interfaces:
                if interface.first is not None:
                    network = f"{app.namespace}/{interface.network}"
                    held[network] = held.get(network, 0) + app.replicas
        problems = []
        for network, expected in held.items():
            namespace, _, name = network.partition("/")
            found = objects(self._cluster, "danmnet", name, "-n", namespace)
            used = found[0].get("status", {}).get("ipv4", {}).get("used") if found else None
            if str(used) != str(expected):
                problems.append(f"DanmNet {network} says that {used} are used, not {expected}")
        return problems

    def _check_scaling(self, pods: Sequence[RunningPod], follow_within_s: float) -> None:
        balancer = next(pod for pod in pods if pod.app is LOADBALANCER)
        lags = follow_scaling(
            self._cluster,
            asker=(VNF, balancer.name),
            # With the closing dot it is one query instead of four.
            service=f"vnf-internal-processor.{VNF}.svc.{CLUSTER_DOMAIN}.",
            deployment=(VNF, PROCESSOR.name),
            replicas=(3, PROCESSOR.replicas),
            addresses=lambda: {
                pod.name: pod.address("int")
                for pod in self.pods()
                if pod.app is PROCESSOR and "int" in pod.addresses
            },
        )
        for lag in lags:
            self._console.print(f"    {lag}", markup=False)
        late = [str(lag) for lag in lags if lag.seconds > follow_within_s]
        if late:
            raise DemoFailedError(f"Look-ups later than {follow_within_s:.0f} s", late)

    def _program(self, pod: RunningPod, program: str, *arguments: str) -> str:
        command = ["python3", f"/demo/{program}", *arguments]
        return pod_exec(self._cluster, pod.app.namespace, pod.name, command, timeout_s=_PROGRAM_S)

    def _show_pods(self, pods: Sequence[RunningPod]) -> None:
        table = Table("namespace", "Pod", "node", "interface", "network", "address", "on link")
        for pod in pods:
            for expected in pod.app.interfaces:
                table.add_row(
                    pod.app.namespace,
                    pod.name,
                    pod.node,
                    expected.name,
                    expected.network,
                    pod.addresses.get(expected.name, "?"),
                    expected.link or "-",
                )
        self._console.print(table)

    def _show_networks(self) -> None:
        for namespace in NAMESPACES:
            shown = self._cluster.kubectl("get", "danmnets", "-n", namespace)
            self._console.print(f"{namespace}:\n{shown}", markup=False)
