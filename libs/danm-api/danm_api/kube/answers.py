"""How an answer is read that need not be read to its end."""

import aiohttp


def hang_up(response: aiohttp.ClientResponse) -> None:
    """Drop the connection of an answer that has not come to its end.

    Closing TLS in good order takes the server's consent, for which a loop that ends does not wait.
    """
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()


async def read_up_to(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Return the first ``max_bytes`` of an answer, or all of a shorter one."""
    read = bytearray()
    async for chunk in response.content.iter_any():
        read += chunk
        if len(read) >= max_bytes:
            break
    return bytes(read[:max_bytes])
