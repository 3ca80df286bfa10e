"""netwatcher's node role on the kernel of a guest, which has VLAN and VXLAN; its API in memory.

python -m tests.lab.bench.controllers.guest JOB > findings.json
"""

import asyncio
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, Final, TypeVar

import msgspec
import uvloop
from pyroute2 import IPRoute

from danm_api.codec.danmnet import encode_status
from danm_api.kube.api import DANMNETS, NODES
from danm_api.names import NodeName
from danm_api.testing.builders import a_danmnet, a_raw_danmnet, accepted
from danm_api.testing.fake_kube import FakeKube
from netwatcher.config import COMPARE_PERIOD_S, NodeConfig
from netwatcher.group_limit import LIMIT_FILE
from netwatcher.netlink import NetlinkKernel
from netwatcher.node_process import NodeProcess
from tests.lab.bench.cni.results import times
from tests.lab.bench.controllers.damage import enter, repair_s, until_whole
from tests.lab.bench.controllers.results import LinkFindings, Repair
from tests.lab.errors import LabError
from tests.lab.progress import Progress

_NODE: Final = NodeName("node-1")
_PARENT: Final = "bench0"
# What is left to do after the last repair must not count as rest.
_SETTLE_S: Final = 5.0

T = TypeVar("T")


class LinksJob(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be measured.

    Attributes:
        damages: Which kinds, of ``damage.DAMAGES``.
        repeats: Of each kind of damage, to one link after the other.
        rest_s: How long netwatcher is left alone; 0 measures nothing of it.
        namespace: A network namespace; empty for the process's own.
        quiet: Says nothing of its progress.
    """

    vlans: int
    vxlans: int
    damages: list[str]
    repeats: int
    rest_s: float
    namespace: str = ""
    quiet: bool = False


def _plug_in() -> None:
    with IPRoute() as route:
        route.link("add", ifname=_PARENT, kind="veth", peer={"ifname": "bench1"})
        for name in (_PARENT, "bench1"):
            route.link("set", ifname=name, state="up")
        index = route.link_lookup(ifname=_PARENT)[0]
        route.addr("add", index=index, address="198.18.0.1", prefixlen=16)


def _networks(job: LinksJob) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the link and the segment of each network."""
    vlans = {f"v{number}": (f"v{number}.{number}", {"vlan": number}) for number in
             range(1, job.vlans + 1)}  # fmt: skip
    vxlans = {f"x{number}": (f"vx_x{number}", {"vxlan": number}) for number in
              range(1, job.vxlans + 1)}  # fmt: skip
    return vlans | vxlans


def _cluster(job: LinksJob) -> FakeKube:
    api = FakeKube()
    api.add(NODES, {"metadata": {"name": _NODE}})
    for name, (_, segment) in _networks(job).items():
        net = accepted(a_danmnet(name, host_device=_PARENT, **segment))
        raw = a_raw_danmnet(name, host_device=_PARENT, **segment)
        api.add(DANMNETS, raw | {"status": encode_status(net.status)})
    return api


async def measure(job: LinksJob) -> LinkFindings:
    """Run a netwatcher, damage its links, and leave it alone."""
    progress = Progress(quiet=job.quiet)
    api = _cluster(job)
    links = [link for link, _ in _networks(job).values()]
    config = NodeConfig(
        kubeconfig=None,
        node_name=_NODE,
        compare_period_s=COMPARE_PERIOD_S,
        group_limit_file=LIMIT_FILE,
        health_host="127.0.0.1",
        health_port=0,
    )
    loop = asyncio.get_running_loop()
    spawn = multiprocessing.get_context("spawn")
    thread = ThreadPoolExecutor(1, initializer=enter, initargs=(job.namespace,))
    with ProcessPoolExecutor(1, spawn, initializer=enter, initargs=(job.namespace,)) as hands:

        async def by_hand(work: Callable[..., T], *arguments: object) -> T:
            return await loop.run_in_executor(hands, work, *arguments)

        await by_hand(_plug_in)
        async with NetlinkKernel(thread) as kernel:
            stop = asyncio.Event()
            began = time.monotonic()
            task = asyncio.create_task(NodeProcess(config, api, kernel).run(stop))
            try:
                with progress.step(f"{len(links)} links are made"):
                    mtu = await by_hand(until_whole, links)
                made_s = time.monotonic() - began
                repairs = []
                for damage in job.damages:
                    with progress.step(f"links {damage}"):
                        single = [
                            1000
                            * await by_hand(repair_s, damage, [links[number % len(links)]], mtu)
                            for number in range(job.repeats)
                        ]
                        all_s = await by_hand(repair_s, damage, links, mtu)
                    repairs.append(Repair(damage=damage, single=times(single), all_s=all_s))
                with progress.step(f"at rest for {job.rest_s:.0f} s"):
                    rest_cpu = await _rest(job.rest_s)
            finally:
                stop.set()
                await task
    return LinkFindings(
        vlans=job.vlans,
        vxlans=job.vxlans,
        made_s=made_s,
        repairs=repairs,
        rest_s=job.rest_s,
        rest_cpu=rest_cpu,
        rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


async def _rest(rest_s: float) -> float:
    """Return the percentage of a core that this process takes while nothing happens."""
    if not rest_s:
        return 0.0
    await asyncio.sleep(_SETTLE_S)
    used, began = time.process_time(), time.monotonic()
    await asyncio.sleep(rest_s)
    return 100 * (time.process_time() - used) / (time.monotonic() - began)


def main() -> None:
    """Do one job."""
    job = msgspec.json.decode(sys.argv[1], type=LinksJob)
    try:
        found = uvloop.run(measure(job))
    except LabError as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
