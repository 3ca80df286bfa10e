"""The demo's InternalProcessor: answers requests on the application's internal network only."""

import argparse
import asyncio
import socket

from wire import address_of, log, serve_http, serve_lines, until_stopped


async def main(port: int, health_port: int) -> None:
    """Serve until told to stop."""
    internal = address_of("int")
    served = 0

    async def answer(line: str) -> str:
        nonlocal served
        served += 1
        return f"{line} | processor {socket.gethostname()} on {internal}"

    await serve_lines(internal, port, answer)
    await serve_http(address_of("eth0"), health_port, {"/healthz": lambda: "ok\n"})
    log("Serving", program="internal-processor", address=internal, port=port)
    await until_stopped()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5555, help="TCP port on the internal network")
    parser.add_argument("--health-port", type=int, default=8080, help="HTTP port on eth0")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.port, arguments.health_port))
