"""The Pod's annotation that tells other programs of its interfaces.

Its form is the Kubernetes Network Plumbing Working Group's ("Network Attachment Status", version
1.3 of their specification): whoever reads the interfaces of Pods reads this.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from danm_api.codec.cni import decode_result
from danm_api.errors import InvalidObjectError, NotFoundError
from danm_api.kube.api import PODS, KubeApi
from danm_api.kube.informer import Change, Informer, ObjectKey
from danm_api.kube.workqueue import WorkQueue, run_workers
from danm_api.model.cni import CniResult
from danm_api.model.pod import Pod
from danm_api.names import ContainerId, InterfaceName, PodUid
from danm_api.telemetry import get_logger
from danm_cni.failpoints import Effect, effect
from danm_cni.journal import InterfaceRecord, Journal, SandboxRecord, SandboxState
from danm_cni.plan import PRIMARY_INTERFACE
from danm_cni.result import InterfaceResult, complete_result, is_own, own_addresses

log = get_logger(__name__)

ANNOTATION: Final = "k8s.v1.cni.cncf.io/network-status"
_PCI_ADDRESS: Final = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
# Enough that one slow answer of the API server does not hold up the others.
_WORKERS: Final = 4


class _Attachment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of the annotation; ``default`` marks the one whose address is the Pod's."""

    name: str
    interface: str
    ips: tuple[str, ...] = ()
    mac: str = ""
    mtu: int = 0
    default: bool = False
    dns: dict[str, Any] = {}
    device_info: dict[str, Any] = msgspec.field(name="device-info", default_factory=dict)


class _Named(msgspec.Struct, frozen=True):
    """A network configuration's name."""

    name: str = ""


def network_status(record: SandboxRecord) -> str:
    """Return the annotation's value for a sandbox that is there; pure.

    What only DanmEps tell of, or has lost an interface, has no result any more.
    """
    told = decode_result(record.result) if record.result else CniResult()
    # A fallback's plugin may leave out whose an address is, or name an interface that it lacks.
    part = InterfaceResult(interface=InterfaceName(record.request_interface), result=told)
    result = complete_result(part, netns=record.netns)
    entries = [_entry(record, each, result) for each in record.interfaces]
    return msgspec.json.encode(entries).decode()


def _entry(record: SandboxRecord, interface: InterfaceRecord, result: CniResult) -> _Attachment:
    made = next((each for each in result.interfaces if is_own(each, interface.interface)), None)
    is_default = interface.interface == PRIMARY_INTERFACE
    return _Attachment(
        name=_network_name(record, interface),
        interface=interface.interface,
        ips=tuple(_addresses(interface, result)),
        mac=(made and made.mac) or interface.mac or "",
        mtu=(made.mtu if made else None) or 0,
        default=is_default,
        dns=_dns(result) if is_default else {},
        device_info=_device(interface.device),
    )


def _network_name(record: SandboxRecord, interface: InterfaceRecord) -> str:
    """A DanmNet's with its namespace; the fallback's is its configuration's."""
    if interface.network:
        return f"{record.namespace}/{interface.network}"
    calls = interface.calls
    return msgspec.json.decode(calls[-1].config, type=_Named).name if calls else ""


def _addresses(interface: InterfaceRecord, result: CniResult) -> Iterator[str]:
    told = own_addresses(result, interface.interface)
    if told:
        yield from (str(each.ip) for each in told)
        return
    for text in (interface.ip, interface.ip6):
        if text:
            yield text.partition("/")[0]


def _device(device: str) -> dict[str, Any]:
    """Return a PCI device as the Working Group's "Device Information", version 1.1, has it."""
    if not _PCI_ADDRESS.fullmatch(device):
        return {}
    return {"type": "pci", "version": "1.1.0", "pci": {"pci-address": device}}


def _dns(result: CniResult) -> dict[str, Any]:
    keys = {
        "nameservers": list(result.dns.nameservers),
        "domain": result.dns.domain,
        "search": list(result.dns.search),
        "options": list(result.dns.options),
    }
    return {key: value for key, value in keys.items() if value}


class StatusAnnotations:
    """Writes the annotation when a sandbox is made or changes, and where it is missing.

    One that somebody changed stays: a meta-plugin that calls danm writes its own.
    """

    def __init__(self, api: KubeApi, pods: Informer[Pod], journal: Journal) -> None:
        """Follow the node's Pods."""
        self._api = api
        self._pods = pods
        self._journal = journal
        self._queue: WorkQueue[ObjectKey] = WorkQueue()
        # Sandboxes that were just made or changed, whose Pod may have an older annotation.
        self._new: dict[ObjectKey, str] = {}
        pods.subscribe(self._changed)

    def __len__(self) -> int:
        """Return how many Pods have to be told anew."""
        return len(self._new)

    def changed(self, record: SandboxRecord) -> None:
        """Have a Pod told of the sandbox that was just made for it, or has lost an interface."""
        key = ObjectKey(namespace=record.namespace, name=record.pod)
        # A Pod that the watch never shows, or had shown gone by then, is not heard of again.
        for other, container_id in list(self._new.items()):
            if self._journal.get(ContainerId(container_id)) is None:
                del self._new[other]
        self._new[key] = record.container_id
        self._queue.add(key)

    async def follow(self) -> None:
        """Write what is due, for ever."""
        await run_workers(self._queue, self._reconcile, concurrency=_WORKERS, name="network-status")

    def _changed(self, change: Change[Pod]) -> None:
        if change.new is None:
            self._new.pop(change.key, None)
        elif change.old is None:
            # Of before this danmd, or one whose ADD was faster than the watch.
            self._queue.add(change.key)

    async def _reconcile(self, key: ObjectKey) -> None:
        pod = self._pods.get(key)
        record = None if pod is None else self._sandbox(pod.runtime_uid)
        if pod is None or record is None:
            return
        is_new = self._new.get(key) == record.container_id
        present = pod.annotations.get(ANNOTATION)
        wanted = network_status(record)
        if present == wanted or (present is not None and not is_new):
            self._done(key, record)
            return
        patch = {"metadata": {"uid": pod.uid, "annotations": {ANNOTATION: wanted}}}
        try:
            with effect(Effect.ANNOTATE):
                await self._api.patch(
                    PODS, pod.name, patch, namespace=pod.namespace, subresource="status"
                )
        except (NotFoundError, InvalidObjectError) as error:
            # The Pod is gone, or another one has its name.
            log.info("Pod is not told of its networks", pod=pod.name, error=error.reason)
            return
        self._done(key, record)

    def _sandbox(self, uid: PodUid) -> SandboxRecord | None:
        """Return what there is of a Pod; one that has no interface of danm's is not told of any."""
        records = self._journal.of_pod(uid)
        return next(
            (each for each in records if each.state is SandboxState.ADDED and each.interfaces), None
        )

    def _done(self, key: ObjectKey, record: SandboxRecord) -> None:
        if self._new.get(key) == record.container_id:
            del self._new[key]
