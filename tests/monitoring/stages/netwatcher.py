"""Both roles of netwatcher: one on a kernel in memory, one that judges DanmNets."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any, Final

from danm_api.codec.danmnet import encode_status
from danm_api.kube.api import DANMNETS, NODES
from danm_api.names import NodeName
from danm_api.testing.builders import NODE, a_danmnet, a_raw_danmnet, accepted
from danm_api.testing.fake_kube import FakeKube
from netwatcher.config import NodeConfig, ValidatorConfig
from netwatcher.group_limit import LIMIT_FILE
from netwatcher.links import ObservedAddress
from netwatcher.node_process import NodeProcess
from netwatcher.testing.fake_kernel import FakeKernel
from netwatcher.validator_process import ValidatorProcess
from tests.monitoring.stages.stage import HOST, Fault, Silence, Stage

_TUNNEL: Final = "vx_internal"
_ADDRESS: Final = ObservedAddress(address=ip_address("198.18.0.1"), is_global=True, is_stable=True)


@asynccontextmanager
async def netwatcher(port: int) -> AsyncIterator[Stage]:
    """Run the role of a node, with a VLAN and a VXLAN."""
    api, kernel = FakeKube(), FakeKernel()
    api.add(NODES, {"metadata": {"name": NODE}})
    networks: Mapping[str, Mapping[str, Any]] = {
        "external": {"host_device": "ens4", "vlan": 300},
        "internal": {"host_device": "ens3", "vxlan": 600},
    }
    for name, options in networks.items():
        status = encode_status(accepted(a_danmnet(name, **options)).status)
        api.add(DANMNETS, a_raw_danmnet(name, **options) | {"status": status})
    kernel.add_parent("ens3", _ADDRESS)
    kernel.add_parent("ens4")
    config = NodeConfig(
        kubeconfig=None,
        node_name=NodeName(NODE),
        compare_period_s=0.5,
        group_limit_file=LIMIT_FILE,
        health_host=HOST,
        health_port=port,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(NodeProcess(config, api, kernel).run(stop))
    flapping = False

    async def tick() -> None:
        api.bookmark()
        if flapping and _TUNNEL in kernel.names():
            kernel.change(_TUNNEL, up=False)

    async def flap() -> None:
        nonlocal flapping
        flapping = True

    async def rest() -> None:
        nonlocal flapping
        flapping = False

    async def unplug() -> None:
        kernel.remove("ens4")

    async def plug_in() -> None:
        kernel.add_parent("ens4")

    try:
        yield Stage(
            tick=tick,
            faults={
                "flap": Fault(make=flap, mend=rest),
                "unplugged": Fault(make=unplug, mend=plug_in),
            },
        )
    finally:
        stop.set()
        await running


@asynccontextmanager
async def validator(port: int) -> AsyncIterator[Stage]:
    """Run the role that judges DanmNets."""
    api = FakeKube()
    silence = Silence(api.bookmark)
    api.add(DANMNETS, a_raw_danmnet("good", host_device="ens3"))
    api.add(DANMNETS, a_raw_danmnet("bad", host_device="ens3", vlan=5, vxlan=5))
    config = ValidatorConfig(
        kubeconfig=None,
        pod_name="validator",
        namespace="danm-system",
        health_host=HOST,
        health_port=port,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(ValidatorProcess(config, api).run(stop))

    async def tick() -> None:
        silence.tick()

    try:
        yield Stage(tick=tick, faults={"silence": silence.fault})
    finally:
        stop.set()
        await running
