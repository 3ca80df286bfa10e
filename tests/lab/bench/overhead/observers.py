"""Who looks at a process: a collector of traces, and a Prometheus that scrapes often."""

import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from tests.lab.apiserver import LOOPBACK
from tests.lab.bench.overhead.switch import Switch
from tests.lab.bench.replicas import Replica
from tests.lab.errors import LabError

# Prometheus asks once in 15 to 60 s.
_SCRAPE_EVERY_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.05
_TIMEOUT_S: Final = 5.0
_TRACES_PATH: Final = "/v1/traces"
_POLL_S: Final = 0.05


class Collector:
    """Takes traces by OTLP over HTTP and keeps nothing of them.

    Attributes:
        endpoint: For OTEL_EXPORTER_OTLP_ENDPOINT.
    """

    def __init__(self, server: ThreadingHTTPServer) -> None:
        """Use a server that runs."""
        self.endpoint = f"http://{LOOPBACK}:{server.server_address[1]}"
        self._lock = threading.Lock()
        self._taken = 0

    @property
    def taken(self) -> int:
        """How many bytes of spans have come so far."""
        with self._lock:
            return self._taken

    def take(self, count: int) -> None:
        """Count bytes that came."""
        with self._lock:
            self._taken += count


@contextmanager
def running_collector() -> Iterator[Collector]:
    """Run a collector."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # noqa: N802  (its name there)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            known = self.path == _TRACES_PATH
            if known:
                collector.take(len(body))
            self.send_response(HTTPStatus.OK if known else HTTPStatus.NOT_FOUND)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name there)
            """Say nothing."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        server.daemon_threads = True
        collector = Collector(server)
        thread = threading.Thread(target=server.serve_forever, args=(_POLL_S,), daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whose metrics are scraped.

    Attributes:
        token: For the header Authorization; none where it is empty.
        authority: Whom its certificate is checked against, as PEM; empty without TLS.
    """

    url: str
    token: str = ""
    authority: str = ""


def replica_target(replica: Replica, token: str, authority: str) -> Target:
    """Return the metrics of a replica of ipam-svc, for an administrator's token."""
    return Target(url=f"https://{replica.endpoint}/metrics", token=token, authority=authority)


@contextmanager
def scraping(target: Target, switch: Switch) -> Iterator[None]:
    """Read a process's metrics again and again while a switch is on.

    Raises:
        LabError: They could not be read even once.
    """
    stop = threading.Event()
    scrapes, failures = [0], [""]

    def scrape() -> None:
        left_s = 0.0
        while not stop.wait(_LOOK_EVERY_S):
            if not switch.is_on:
                continue
            left_s -= _LOOK_EVERY_S
            if left_s > 0:
                continue
            left_s = _SCRAPE_EVERY_S
            try:
                scrapes[0] += bool(_read(target))
            except (OSError, urllib.error.URLError) as error:
                failures[0] = str(error)

    thread = threading.Thread(target=scrape, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if not scrapes[0]:
        raise LabError(f"No scrape of {target.url} succeeded: {failures[0]}")


def _read(target: Target) -> bytes:
    context = None
    if target.authority:
        context = ssl.create_default_context(cadata=target.authority)
        # Asked by its address, as Prometheus does.
        context.check_hostname = False
    headers = {"Authorization": f"Bearer {target.token}"} if target.token else {}
    request = urllib.request.Request(target.url, headers=headers)  # noqa: S310  (our own server)
    with urllib.request.urlopen(  # noqa: S310
        request, timeout=_TIMEOUT_S, context=context
    ) as answer:
        body: bytes = answer.read()
    return body
