"""Logs: one JSON object a line for machines, one line for people."""

import io
import logging
from collections.abc import Iterator

import msgspec
import pytest

from danm_api.errors import ConflictError
from danm_api.telemetry import configure_logging, get_logger


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    """Put the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    """Return the JSON objects of a stream."""
    return [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]


def test_machines_get_json() -> None:
    """Message and keys stay apart, whatever the values are."""
    stream = io.StringIO()
    configure_logging("ipam-svc", stream=stream)
    log = get_logger("danm_api.test").bind(network="internal")
    log.debug("Not shown")
    log.info("Deleted DanmEp", name="a", count=3, error=ConflictError("100% stale"), level="own")
    (line,) = lines(stream)
    assert line.pop("time")
    assert line == {
        "level": "info",
        "component": "ipam-svc",
        "logger": "danm_api.test",
        "message": "Deleted DanmEp",
        "network": "internal",
        "name": "a",
        "count": 3,
        "error": "100% stale",
        "level_": "own",
    }


def test_exceptions_carry_their_traceback() -> None:
    """The traceback of the given or the handled exception is a key of the line."""
    stream = io.StringIO()
    configure_logging("x", stream=stream)
    log = get_logger("x")
    try:
        raise KeyError("lost")
    except KeyError as error:
        kept = error
        log.exception("Failed")
    log.exception("Failed again", error=kept)
    for line in lines(stream):
        assert "KeyError: 'lost'" in str(line["traceback"])


def test_other_libraries_go_the_same_way() -> None:
    """What libraries log and warn of comes in the same form; requests are not logged."""
    stream = io.StringIO()
    configure_logging("x", level="DEBUG", stream=stream)
    logging.getLogger("some.library").warning("%d percent of %s", 50, "it")
    logging.getLogger("aiohttp.access").info("GET /")
    assert [line["message"] for line in lines(stream)] == ["50 percent of it"]


def test_people_get_a_line() -> None:
    """On a terminal a line starts with the time and ends with the keys."""
    stream = Terminal()
    configure_logging("x", stream=stream)
    get_logger("x").warning("Cannot write Event", reason="no answer")
    line = stream.getvalue()
    assert "Cannot write Event  reason=no answer\n" in line
    assert "{" not in line
