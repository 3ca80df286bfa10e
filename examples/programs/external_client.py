"""The demo's ExternalClient: finds the load balancers on its only network and asks them."""

import argparse
import asyncio
import contextlib
import itertools
import signal
import sys

from wire import ask, log, resolve


async def request(service: str, port: int, number: int) -> str:
    """Look the Service up, and return the answer of the first load balancer that gives one.

    Raises:
        OSError: The look-up failed or nobody answered.
    """
    balancers = await resolve(service, port)
    failures = []
    for offset in range(len(balancers)):
        balancer = balancers[(number + offset) % len(balancers)]
        try:
            return await ask(balancer, port, f"request {number}")
        except (OSError, TimeoutError) as error:
            failures.append(f"{balancer}: {error or type(error).__name__}")
    message = f"no load balancer behind {service} answered: {'; '.join(failures)}"
    raise ConnectionError(message)


async def main(arguments: argparse.Namespace) -> int:
    """Send one request, or one every few seconds until told to stop."""
    if arguments.once:
        print(await request(arguments.service, arguments.port, 0))
        return 0
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    for count in itertools.count():
        try:
            log("Answered", answer=await request(arguments.service, arguments.port, count))
        except OSError as error:
            log("Failed", error=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), arguments.interval)
        if stopped.is_set():
            break
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--service",
        default="vnf-external-svc.example-vnf.svc.cluster.local",
        help="what to look up",
    )
    parser.add_argument("--port", type=int, default=3868)
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between requests")
    parser.add_argument("--once", action="store_true", help="send one request, print the answer")
    sys.exit(asyncio.run(main(parser.parse_args())))
