"""What a run breaks: an API server, replicas of a controller, and Kubernetes' own controllers."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.apiserver import free_ports
from tests.lab.binaries import KUBERNETES, Binaries
from tests.lab.chaos.backbone import Backbone, Replica, running_backbone, wait_serving
from tests.lab.chaos.controllers.subject import Controller
from tests.lab.deployed import apply_deployed
from tests.lab.process import start_leashed

# Those that have to do with what svcwatcher writes: they take Services over that gain a selector,
# copy Endpoints into slices, and remove what belonged to an object that is gone.
_KUBERNETES_CONTROLLERS: Final = (
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "garbage-collector-controller",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerWorld:
    """Everything that runs."""

    backbone: Backbone
    controller: Controller
    replicas: Sequence[Replica]

    async def wait_replicas(self) -> None:
        """Wait until every replica is ready.

        Raises:
            StartError: One is not, or it ended by itself.
        """
        for replica in self.replicas:
            await wait_serving(replica)


@asynccontextmanager
async def running_controller(
    directory: Path,
    controller: Controller,
    *,
    binaries: Binaries,
) -> AsyncIterator[ControllerWorld]:
    """Run a controller's replicas on an API server; all are ready.

    Args:
        directory: For data and logs.
        controller: Which.
        binaries: Where Kubernetes' programs come from.

    Raises:
        StartError: Something did not become ready.
    """
    async with (
        running_backbone(directory, binaries=binaries) as backbone,
        AsyncExitStack() as stack,
    ):
        await backbone.objects.install_kinds()
        for each in (controller, *controller.beside):
            await apply_deployed(backbone.objects.api, *each.rbac)
        if controller.among_kubernetes:
            _start_kubernetes(backbone, stack)
        for each in controller.beside:
            helper = await _replica(backbone, each, 0, stack)
            helper.program.start()
            await wait_serving(helper)
        world = ControllerWorld(
            backbone=backbone,
            controller=controller,
            replicas=[
                await _replica(backbone, controller, number, stack)
                for number in range(controller.replicas)
            ],
        )
        for replica in world.replicas:
            replica.program.start()
        await world.wait_replicas()
        yield world


async def _replica(
    backbone: Backbone, controller: Controller, number: int, stack: AsyncExitStack
) -> Replica:
    (health_port,) = free_ports(1)
    name = f"{controller.name}-{number}"
    own_name = [f"--pod-name={name}"] if controller.lease else []
    return await backbone.replica(
        stack,
        name,
        account=controller.account,
        command=[*controller.command, *own_name, "--log-level=debug"],
        health_port=health_port,
        netns=controller.netns,
    )


def _start_kubernetes(backbone: Backbone, stack: AsyncExitStack) -> None:
    kubeconfig = backbone.directory / "admin.kubeconfig"
    (port,) = free_ports(1)
    running = start_leashed(
        "kube-controller-manager",
        [
            backbone.binaries.program(KUBERNETES, "kube-controller-manager"),
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            "--leader-elect=false",
            f"--controllers={','.join(_KUBERNETES_CONTROLLERS)}",
        ],
        log=backbone.directory / "log" / "kube-controller-manager.log",
    )
    stack.callback(running.stop)
