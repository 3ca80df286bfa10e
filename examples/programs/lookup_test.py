"""Look-ups that go on while the name server does not always answer."""

import asyncio
import json

import lookup
import pytest


def test_a_name_server_that_does_not_answer_ends_no_watch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No answer is no change: the next look-up is printed as if nothing had been."""
    answers: list[list[str] | OSError] = [["10.0.0.1"], OSError("no answer"), ["10.0.0.2"]]

    async def resolve(name: str, port: int) -> list[str]:
        del name, port
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(lookup, "resolve", resolve)
    assert asyncio.run(lookup.watch("name", seconds=0.2, interval=0.01)) == 0
    printed, complaints = capsys.readouterr()
    assert [json.loads(line) for line in printed.splitlines()] == [["10.0.0.1"], ["10.0.0.2"]]
    assert complaints == "name: no answer\n"
