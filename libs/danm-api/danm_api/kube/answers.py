"""How an answer is read that need not be read to its end."""

from dataclasses import dataclass

import aiohttp


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """The beginning of a text.

    Attributes:
        whole: It is all of it.
    """

    text: str
    whole: bool


def hang_up(response: aiohttp.ClientResponse) -> None:
    """Drop the connection of an answer that has not come to its end.

    Closing TLS in good order takes the server's consent, for which a loop that ends does not wait.
    """
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()


async def read_up_to(response: aiohttp.ClientResponse, max_bytes: int) -> tuple[bytes, bool]:
    """Return the first ``max_bytes`` of an answer, or a shorter one; and whether it is all."""
    read = bytearray()
    async for chunk in response.content.iter_any():
        read += chunk
        if len(read) > max_bytes:
            break
    return bytes(read[:max_bytes]), len(read) <= max_bytes
