"""Look a name up: once, until it has so many addresses, or for a while with each change.

Each line is a JSON list of addresses; an empty one means that the name has no address.
"""

import argparse
import asyncio
import json
import os
import socket
import sys
import time

from wire import resolve

# Answers of a resolver that mean "no such name" and "no such address", not "no name server".
_EMPTY = (socket.EAI_NONAME, socket.EAI_NODATA)


async def addresses(name: str) -> list[str]:
    """Return the addresses of a name, which may be none.

    Raises:
        OSError: The name server does not answer.
    """
    try:
        return await resolve(name, 1)
    except socket.gaierror as error:
        if error.errno in _EMPTY:
            return []
        raise


async def watch(name: str, seconds: float, interval: float) -> int:
    """Print changes for some time."""
    end = time.monotonic() + seconds
    last: list[str] | None = None
    while time.monotonic() < end:
        try:
            found = await addresses(name)
        except OSError as error:
            # No answer is no change; the name server may be busy.
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            await asyncio.sleep(interval)
            continue
        if found != last:
            print(json.dumps(found), flush=True)
            last = found
        await asyncio.sleep(interval)
    return 0


async def wait(name: str, count: int, within: float, interval: float) -> int:
    """Print the addresses of a name once there are so many, or fail after some time.

    The name server learns of a Service's addresses a moment after the API server.
    """
    end = time.monotonic() + within
    while True:
        try:
            found = await addresses(name)
        except OSError as error:
            said = str(error)
        else:
            said = json.dumps(found)
            if len(found) == count:
                print(said, flush=True)
                return 0
        if time.monotonic() >= end:
            print(f"{name} does not come to have {count} addresses: {said}", file=sys.stderr)
            return 1
        await asyncio.sleep(interval)


def main() -> int:
    """Print one answer, or all changes for a while."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    until = parser.add_mutually_exclusive_group()
    until.add_argument("--count", type=int, help="wait until it has exactly so many addresses")
    until.add_argument("--watch", type=float, metavar="SECONDS", help="go on for so long")
    parser.add_argument(
        "--within", type=float, default=60.0, help="seconds that --count waits at most"
    )
    parser.add_argument("--interval", type=float, default=0.1, help="seconds between look-ups")
    arguments = parser.parse_args()
    # A datagram that got lost is asked for again after a second, not after five, and with that is
    # hardly ever taken for a late answer.
    os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:5")
    if arguments.count is not None:
        return asyncio.run(
            wait(arguments.name, arguments.count, arguments.within, arguments.interval)
        )
    if arguments.watch is None:
        print(json.dumps(asyncio.run(addresses(arguments.name))))
        return 0
    return asyncio.run(watch(arguments.name, arguments.watch, arguments.interval))


if __name__ == "__main__":
    sys.exit(main())
