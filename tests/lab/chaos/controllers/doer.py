"""Carries actions out on an API server, whatever happens to it meanwhile."""

import asyncio
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, assert_never
from uuid import uuid4

from danm_api.errors import ConflictError, DanmError, NotFoundError
from danm_api.kube.api import DANMEPS, PODS, KubeApi, RawObject
from tests.lab.chaos.controllers.actions import Action, Command, Damage, Interface, RunPod, Write
from tests.lab.chaos.controllers.chronicle import Change, Chronicle
from tests.lab.chaos.objects import in_the_end
from tests.lab.errors import LabError

_COPY_OF: Final = ("name", "resourceVersion", "uid", "creationTimestamp", "managedFields")


@dataclass(frozen=True, slots=True, kw_only=True)
class Doer:
    """Does what it is told, and writes down what came of it."""

    api: KubeApi
    chronicle: Chronicle

    async def do(self, action: Action) -> None:
        """Carry an action out; what the API server refuses is not done."""
        what = str(action)
        try:
            match action:
                case Write():
                    await self._write(action)
                case RunPod():
                    await self._run_pod(action)
                case Damage():
                    what = f"{what}: {await self._damage(action)}"
                case Command():
                    await _run(action)
                case _:
                    assert_never(action)
        except (DanmError, LabError) as error:
            answer = f"{type(error).__name__}: {error}"
        else:
            answer = "done"
        self.chronicle.add(Change(at=self.chronicle.now(), what=what, answer=answer))

    async def get(self, write: Write) -> RawObject:
        """Return the object that was written."""
        return await in_the_end(
            lambda: self.api.get(write.resource, write.name, namespace=write.namespace or None)
        )

    async def _write(self, write: Write) -> None:
        kind, name, where = write.resource, write.name, write.namespace or None
        match write.verb:
            case "create":
                await self._create(write, write.body)
            case "patch":
                await in_the_end(
                    lambda: self.api.patch(
                        kind, name, write.body, namespace=where, subresource=write.subresource
                    )
                )
            case "delete":
                await in_the_end(lambda: self.api.delete(kind, name, namespace=where))
            case _:
                assert_never(write.verb)

    async def _create(self, write: Write, body: RawObject) -> RawObject:
        kind = write.resource
        whole = {"apiVersion": kind.api_version, "kind": kind.kind} | body
        where = write.namespace or None
        return await in_the_end(lambda: self.api.create(kind, whole, namespace=where))

    async def _run_pod(self, run: RunPod) -> None:
        """Make a Pod and its interfaces.

        The token tells one's own Pod, whose answer was lost, from another one of its name.
        """
        token = uuid4().hex
        body = run.body | {
            "metadata": run.body["metadata"] | {"annotations": {"test.danm.k8s.io/token": token}}
        }
        write = Write(
            verb="create", resource=PODS, namespace=run.namespace, name=run.name, body=body
        )
        try:
            pod = await self._create(write, body)
        except ConflictError:
            pod = await in_the_end(lambda: self.api.get(PODS, run.name, namespace=run.namespace))
            found: Mapping[str, str] = pod["metadata"].get("annotations") or {}
            if found.get("test.danm.k8s.io/token") != token:
                raise
        await in_the_end(
            lambda: self.api.patch(
                PODS,
                run.name,
                {"status": dict(run.status)},
                namespace=run.namespace,
                subresource="status",
            )
        )
        for each in run.interfaces:
            endpoint = _danmep(run, each, pod["metadata"]["uid"])
            with suppress(ConflictError):
                await self._create(
                    Write(
                        verb="create",
                        resource=DANMEPS,
                        namespace=run.namespace,
                        name=each.name,
                        body=endpoint,
                    ),
                    endpoint,
                )

    async def _damage(self, damage: Damage) -> str:
        """Change, copy or delete one of a controller's own objects; return which."""
        listed = await in_the_end(lambda: self.api.list(damage.resource))
        ours = [
            raw
            for raw in listed.items
            if damage.labels.items() <= (raw["metadata"].get("labels") or {}).items()
        ]
        if not ours:
            raise NotFoundError(f"there is no {damage.resource.kind} of the controller's")
        raw = ours[math.floor(damage.chance * len(ours))]
        namespace, name = raw["metadata"]["namespace"], raw["metadata"]["name"]
        verb: Any = "delete" if damage.patch is None else "patch"
        body = dict(damage.patch or {})
        if damage.copy:
            verb = "create"
            metadata = {k: v for k, v in raw["metadata"].items() if k not in _COPY_OF}
            body = raw | {"metadata": metadata | {"name": f"{name}-copy"}}
        await self._write(
            Write(verb=verb, resource=damage.resource, namespace=namespace, name=name, body=body)
        )
        return f"{namespace}/{name}"


async def _run(command: Command) -> None:
    process = await asyncio.create_subprocess_exec(
        *command.argv, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, told = await process.communicate()
    if process.returncode:
        raise LabError(told.decode().strip())


def _danmep(run: RunPod, interface: Interface, pod_uid: str) -> RawObject:
    addresses: dict[str, str] = {"Name": "eth0"}
    if interface.address:
        addresses["Address"] = f"{interface.address}/16"
    if interface.address6:
        addresses["AddressIPv6"] = f"{interface.address6}/64"
    labels = run.body["metadata"].get("labels") or {}
    return {
        "metadata": {"name": interface.name, "labels": labels | {"danm.k8s.io/pod-uid": pod_uid}},
        "spec": {
            "NetworkID": interface.network,
            "NetworkType": "ipvlan",
            "EndpointID": str(uuid4()),
            "Interface": addresses,
            "Host": interface.node,
            "Pod": run.name,
            "CID": "c" * 64,
            "netns": "/run/netns/x",
            "Creator": "danm",
        },
    }
