"""One call of an executable."""

from tests.lab.bench.cni.plugin_call import call


def _shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def test_a_process_gets_its_input_and_environment_and_nothing_else() -> None:
    """What it reads ends, and what it prints and how it ends are known."""
    answer = call(_shell('cat; echo "$A-$HOME"; exit 3'), {"A": "a"}, b"in ")
    assert (answer.status, answer.output) == (3, b"in a-\n")


def test_a_configuration_that_nobody_reads_holds_nothing_up() -> None:
    """Up to 1 MB waits in the pipe, and a process that ends without it is no error."""
    answer = call(_shell("exit 0"), {}, b"x" * 500_000)
    assert (answer.status, answer.output) == (0, b"")


def test_the_time_is_that_of_the_process() -> None:
    """It is in milliseconds, and as long as the process ran."""
    assert 50 <= call(_shell("exec sleep 0.05"), {"PATH": "/usr/bin:/bin"}).took_ms < 5000


def test_a_process_that_takes_too_long_is_killed() -> None:
    """It ends by a signal, with what it printed until then."""
    answer = call(_shell("echo begun; exec sleep 60"), {"PATH": "/usr/bin:/bin"}, timeout_s=0.3)
    assert (answer.status, answer.output) == (-9, b"begun\n")


def test_complaints_are_part_of_the_output_where_wanted() -> None:
    """Cnitool says on standard error what failed; a plugin's answer must not have such lines."""
    script = _shell("echo out; echo err >&2")
    assert call(script, {}).output == b"out\n"
    assert call(script, {}, with_errors=True).output == b"out\nerr\n"
