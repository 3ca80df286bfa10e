"""A Prometheus that a test starts: the real one, of the Debian package."""

import http.client
import json
import math
import socket
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.lab.apiserver import LOOPBACK, free_ports
from tests.lab.errors import MissingToolError
from tests.lab.process import Starter, start_leashed, wait_until
from tests.lab.system import program

_READY_S: Final = 60.0
_REQUEST_S: Final = 30.0

Connect = Callable[[str, int], socket.socket]


def needed(name: str) -> str:
    """Return the path of one of the package's programs; without it the test is skipped."""
    try:
        return program(name)
    except MissingToolError:
        pytest.skip(f"{name} is not installed: build-support/system-packages installs prometheus")


def promtool(*arguments: str) -> str:
    """Run promtool and return what it printed.

    Raises:
        AssertionError: It found something; what it said is in the message.
    """
    done = subprocess.run(
        [needed("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One answer to a query: labels and value."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What it scrapes; ``health`` is that of the last scrape: unknown before, up or down."""

    url: str
    labels: Mapping[str, str]
    health: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """A Prometheus that runs.

    Attributes:
        port: On loopback, of the network that ``connect`` connects from.
    """

    port: int
    connect: Connect

    def query(self, expression: str) -> list[Sample]:
        """Ask for the present value of an expression; numbers that are none are left out."""
        data = self._get("query", query=expression)
        results: Any = data["result"]
        if data["resultType"] == "scalar":
            results = [{"metric": {}, "value": results}]
        samples = [Sample(labels=each["metric"], value=float(each["value"][1])) for each in results]
        return [each for each in samples if not math.isnan(each.value)]

    def exemplars(self, expression: str, *, start: float, end: float) -> list[Mapping[str, Any]]:
        """Return the series of an expression that have exemplars between two Unix times."""
        answer = self._get("query_exemplars", query=expression, start=str(start), end=str(end))
        return list(answer)

    def firing(self) -> dict[str, set[str]]:
        """Return the alerts that fire: name -> the reasons of its instances."""
        found: dict[str, set[str]] = {}
        for each in self._get("alerts")["alerts"]:
            if each["state"] == "firing":
                labels = each["labels"]
                found.setdefault(labels["alertname"], set()).add(labels["reason"])
        return found

    def targets(self) -> list[Target]:
        """Return what it scrapes."""
        return [
            Target(url=each["scrapeUrl"], labels=each["labels"], health=each["health"])
            for each in self._get("targets")["activeTargets"]
        ]

    def all_up(self) -> bool:
        """Say whether the last scrape of each target has succeeded."""
        return {each.health for each in self.targets()} == {"up"}

    def ready(self) -> bool:
        """Say whether it answers."""
        try:
            return self._request("/-/ready")[0] == HTTPStatus.OK
        except OSError:
            return False

    def _get(self, path: str, **parameters: str) -> Any:  # noqa: ANN401  (JSON)
        query = urllib.parse.urlencode(parameters)
        status, body = self._request(f"/api/v1/{path}?{query}")
        answer = json.loads(body)
        assert status == HTTPStatus.OK, f"{parameters}: {answer.get('error', answer)}"
        return answer["data"]

    def _request(self, target: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=_REQUEST_S)
        connection.sock = self.connect(LOOPBACK, self.port)
        try:
            connection.request("GET", target)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def _connect(host: str, port: int) -> socket.socket:
    return socket.create_connection((host, port), _REQUEST_S)


@contextmanager
def running(
    directory: Path,
    *,
    scrape: Sequence[Mapping[str, Any]],
    rules: Sequence[Path] = (),
    interval: str = "1s",
    start: Starter = start_leashed,
    connect: Connect = _connect,
) -> Iterator[Prometheus]:
    """Run a Prometheus for the time of the block.

    Args:
        directory: For its data, settings and log.
        scrape: Its scrape_configs.
        rules: Its rule files.
        interval: Between two scrapes, and between two looks at the rules.
        start: Starts it, perhaps in another network.
        connect: Connects to it there.
    """
    (port,) = free_ports(1)
    settings = directory / "prometheus.yaml"
    settings.write_text(
        yaml.safe_dump(
            {
                "global": {
                    "scrape_interval": interval,
                    "scrape_timeout": interval,
                    "evaluation_interval": interval,
                },
                "rule_files": [str(path) for path in rules],
                "scrape_configs": [dict(each) for each in scrape],
            }
        )
    )
    background = start(
        "prometheus",
        [
            needed("prometheus"),
            f"--config.file={settings}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={LOOPBACK}:{port}",
            "--enable-feature=exemplar-storage",
        ],
        log=directory / "prometheus.log",
    )
    prometheus = Prometheus(port=port, connect=connect)
    try:
        wait_until(
            prometheus.ready, what="Prometheus answers", timeout_s=_READY_S, alive=(background,)
        )
        yield prometheus
    finally:
        background.stop()
