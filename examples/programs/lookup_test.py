"""Look-ups that go on while the name server does not always answer."""

import asyncio
import json
import socket

import lookup
import pytest

_Answers = list[list[str] | OSError]


def _answer(monkeypatch: pytest.MonkeyPatch, answers: _Answers) -> None:
    """Have look-ups answered one after the other; the last answer stays."""

    async def resolve(name: str, port: int) -> list[str]:
        del name, port
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(lookup, "resolve", resolve)


def test_a_name_server_that_does_not_answer_ends_no_watch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No answer is no change: the next look-up is printed as if nothing had been."""
    _answer(monkeypatch, [["10.0.0.1"], OSError("no answer"), ["10.0.0.2"]])
    assert asyncio.run(lookup.watch("name", seconds=0.2, interval=0.01)) == 0
    printed, complaints = capsys.readouterr()
    assert [json.loads(line) for line in printed.splitlines()] == [["10.0.0.1"], ["10.0.0.2"]]
    assert complaints == "name: no answer\n"


def test_a_name_that_gets_its_addresses_later_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first answer with as many as were asked for is printed, and none before."""
    absent = socket.gaierror(socket.EAI_NONAME, "no such name")
    both = ["10.0.0.1", "10.0.0.2"]
    _answer(monkeypatch, [absent, OSError("no answer"), ["10.0.0.1"], both])
    assert asyncio.run(lookup.wait("name", 2, within=60.0, interval=0.01)) == 0
    printed, complaints = capsys.readouterr()
    assert json.loads(printed) == both
    assert complaints == ""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(["10.0.0.1"], '["10.0.0.1"]', id="too few"),
        pytest.param(["10.0.0.1", "10.0.0.2", "10.0.0.3"], '"10.0.0.3"', id="too many"),
        pytest.param(OSError("no answer"), "no answer", id="none"),
    ],
)
def test_addresses_that_do_not_come_are_an_error(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: list[str] | OSError,
    said: str,
) -> None:
    """With what the name server said last, and nothing where a script reads."""
    _answer(monkeypatch, [answer])
    assert asyncio.run(lookup.wait("name", 2, within=0.0, interval=0.01)) == 1
    printed, complaints = capsys.readouterr()
    assert printed == ""
    assert said in complaints
