"""The demo's LoadBalancer: spreads requests from the external network over the processors.

It finds the processors by looking up their Service at every request, and reaches them on the
internal network. Its metric is served on the management network alone.
"""

import argparse
import asyncio
import itertools
import socket

from wire import address_of, ask, log, resolve, serve_http, serve_lines, until_stopped


async def main(arguments: argparse.Namespace) -> None:
    """Serve until told to stop."""
    external, internal, management = (address_of(name) for name in ("ext", "int", "eth0"))
    turn = itertools.count()
    packets_served = 0

    async def forward(line: str) -> str:
        nonlocal packets_served
        processors = await resolve(arguments.processors, arguments.internal_port)
        start = next(turn)
        for offset in range(len(processors)):
            processor = processors[(start + offset) % len(processors)]
            try:
                answer = await ask(processor, arguments.internal_port, line)
            except (OSError, TimeoutError) as error:
                log("A processor did not answer", address=processor, error=str(error))
                continue
            packets_served += 1
            return f"{answer} | loadbalancer {socket.gethostname()} on {external}"
        return f"{line} | no processor answered"

    async def introduce(line: str) -> str:
        return f"{line} | loadbalancer {socket.gethostname()} on {internal}"

    def metrics() -> str:
        name = "packets_served"
        return f"# HELP {name} Requests answered.\n# TYPE {name} counter\n{name} {packets_served}\n"

    await serve_lines(external, arguments.external_port, forward)
    await serve_lines(internal, arguments.internal_port, introduce)
    pages = {"/healthz": lambda: "ok\n", "/metrics": metrics}
    await serve_http(management, arguments.metrics_port, pages)
    log("Serving", program="loadbalancer", external=external, internal=internal)
    await until_stopped()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--external-port", type=int, default=3868, help="TCP port on the external network"
    )
    parser.add_argument(
        "--internal-port", type=int, default=5555, help="TCP port on the internal network"
    )
    parser.add_argument("--metrics-port", type=int, default=9100, help="HTTP port on eth0")
    parser.add_argument(
        "--processors", default="vnf-internal-processor", help="the name of the processors' Service"
    )
    asyncio.run(main(parser.parse_args()))
