"""How long the client of the API server waits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long the client waits.

    Attributes:
        request_s: For a whole request, the wait for a free connection included.
        connect_s: For a TCP and TLS connection.
        watch_s: Asked of the server as the life of a watch.
        watch_silence_s: Between two pieces of news on a watch; servers send bookmarks about
            every minute.
    """

    request_s: float = 10.0
    connect_s: float = 5.0
    watch_s: int = 300
    watch_silence_s: float = 100.0
