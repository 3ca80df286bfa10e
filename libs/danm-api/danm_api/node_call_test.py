"""One call to a daemon that answers, or does not."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from danm_api.node_call import GRACE_NS, DaemonUnreachableError, call_daemon
from danm_api.node_frame import PROGRAM_DANM, decode_request, encode_answer, encode_request
from danm_api.testing.hangs import HANGS_S

Serve = Callable[[socket.socket], None]


@contextmanager
def daemon(path: Path, serve: Serve) -> Iterator[None]:
    """Serve one connection in a thread."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        yield
        thread.join(timeout=HANGS_S)
        assert not thread.is_alive()


def deadline() -> int:
    """Return a deadline that no test reaches."""
    return time.monotonic_ns() + 5_000_000_000


def test_status_and_output_come_back(tmp_path: Path) -> None:
    """What the daemon answers is what the caller prints."""
    answer = encode_answer(status=1, stdout=b"x" * 200_000)
    with daemon(tmp_path / "s", lambda connection: connection.sendall(answer)):
        status, stdout = call_daemon(str(tmp_path / "s"), b"request", deadline_ns=deadline())
    assert (status, stdout) == (1, b"x" * 200_000)


@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(lambda _: None, id="closes at once"),
        pytest.param(
            lambda c: c.sendall(b"DANMCNI1\x00\x00\x00\x00\x09abc"), id="cut in the output"
        ),
        pytest.param(lambda c: c.sendall(b"HTTP/1.1 200 OK\r\n\r\n"), id="another protocol"),
    ],
)
def test_a_broken_answer_is_no_answer(tmp_path: Path, serve: Serve) -> None:
    """Half an answer is never taken for one."""
    with daemon(tmp_path / "s", serve), pytest.raises(DaemonUnreachableError):
        call_daemon(str(tmp_path / "s"), b"request", deadline_ns=deadline())


def test_no_socket_is_unreachable(tmp_path: Path) -> None:
    """A daemon that is not there is told apart from one that refuses."""
    with pytest.raises(DaemonUnreachableError):
        call_daemon(str(tmp_path / "none"), b"request", deadline_ns=deadline())


def test_a_daemon_that_comes_back_is_waited_for(tmp_path: Path) -> None:
    """A socket that nobody listens on any more, none, and then the next daemon's."""
    # docs/decisions/0021
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    sent_ns = time.monotonic_ns()
    request = encode_request(
        program=PROGRAM_DANM, deadline_ns=sent_ns + 1_000, environment=b"", stdin=b""
    )
    seen: list[bytes] = []
    started = threading.Event()

    def come_back() -> None:
        started.wait(10)
        path.unlink()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            connection, _ = listener.accept()
            with connection:
                seen.append(connection.recv(1 << 16))
                connection.sendall(encode_answer(status=0, stdout=b"here"))

    thread = threading.Thread(target=come_back)
    thread.start()
    threading.Timer(0.2, started.set).start()
    answer = call_daemon(
        str(path), request, deadline_ns=sent_ns + 1_000, patience_ns=10_000_000_000
    )
    thread.join(timeout=HANGS_S)
    assert answer == (0, b"here")
    # The time that the request has begins when there is somebody to hear it.
    _, deadline_ns, _, _ = decode_request(seen[0])
    assert sent_ns + 100_000_000 < deadline_ns < time.monotonic_ns()


def test_a_daemon_that_never_comes_back_is_given_up(tmp_path: Path) -> None:
    """The runtime is told before its own patience is at an end."""
    started = time.monotonic()
    with pytest.raises(DaemonUnreachableError):
        call_daemon(str(tmp_path / "s"), b"", deadline_ns=deadline(), patience_ns=100_000_000)
    assert time.monotonic() - started >= 0.1


def test_a_silent_daemon_is_given_up(tmp_path: Path) -> None:
    """A frozen daemon does not freeze the runtime's call."""
    released = threading.Event()

    def stay_silent(_: socket.socket) -> None:
        released.wait(10)

    with daemon(tmp_path / "s", stay_silent):
        past = time.monotonic_ns() - GRACE_NS + 50_000_000
        with pytest.raises(DaemonUnreachableError):
            call_daemon(str(tmp_path / "s"), b"request", deadline_ns=past)
        released.set()
