"""Somebody who follows a page: one shell from its first command to its last, in one directory."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.docs.pages import Commands, Page, PageError, Step, WriteFile, difference, steps
from tests.lab.process import wait_until

# A page waits for Pods itself, with a deadline of its own; this ends a command that hangs.
COMMANDS_S: Final = 600.0
# Stands in pages for the registry of whoever reads them.
PLACEHOLDER: Final = "registry.example"


class FailedStepError(Exception):
    """A page's command failed, or printed something else than the page shows."""


@dataclass(slots=True, kw_only=True)
class Reader:
    """A shell that runs a page's commands, one block after another.

    Attributes:
        directory: Where it runs and writes the page's files.
        registry: What it puts where a page says registry.example.
    """

    directory: Path
    registry: str
    _shell: subprocess.Popen[str]
    _blocks: int = 0

    @classmethod
    def start(
        cls,
        directory: Path,
        *,
        environment: Mapping[str, str],
        prefix: Sequence[str] = (),
        registry: str = PLACEHOLDER,
    ) -> Self:
        """Start the shell.

        Args:
            directory: Where it runs.
            environment: Its variables.
            prefix: Words before the shell's, such as those that enter a network namespace.
            registry: See the class.
        """
        shell = subprocess.Popen(
            [*prefix, "bash", "--noprofile", "--norc", "-euo", "pipefail"],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return cls(directory=directory, registry=registry, _shell=shell)

    def follow(self, page: Page) -> None:
        """Do what a page says.

        Raises:
            FailedStepError: A command failed, or printed something else than the page shows.
        """
        for step in steps(page):
            self.take(page.name, step)

    def take(self, name: str, step: Step) -> None:
        """Do one step of the page of this name.

        Raises:
            FailedStepError: The command failed, or printed something else than the page shows.
            PageError: It writes a file outside of the directory.
        """
        match step:
            case WriteFile():
                path = (self.directory / step.name).resolve()
                if not path.is_relative_to(self.directory.resolve()):
                    raise PageError(
                        f"{name}:{step.line}: {step.name} is not in the page's directory"
                    )
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self._told(step.text))
            case Commands():
                status, printed = self._run(self._told(step.text))
                place = f"{name}:{step.line}"
                if status != 0:
                    raise FailedStepError(f"{place}: status {status} of\n{step.text}\n{printed}")
                shown = self._told(step.prints)
                if shown and (differs := difference(shown, printed)):
                    raise FailedStepError(f"{place}: {differs}")

    def _told(self, text: str) -> str:
        return text.replace(PLACEHOLDER, self.registry)

    def _run(self, commands: str) -> tuple[int, str]:
        """Run commands in the shell and return their status and all that they print."""
        self._blocks += 1
        base = self.directory / ".reader"
        base.mkdir(exist_ok=True)
        script, output, status = (
            base / f"{self._blocks}.{kind}" for kind in ("sh", "out", "status")
        )
        script.write_text(commands)
        assert self._shell.stdin is not None
        self._shell.stdin.write(
            f". '{script}' < /dev/null > '{output}' 2>&1; echo 0 > '{status}.part'; "
            f"mv '{status}.part' '{status}'\n"
        )
        self._shell.stdin.flush()
        wait_until(
            lambda: status.exists() or self._shell.poll() is not None,
            what=f"The end of {commands!r}",
            timeout_s=COMMANDS_S,
        )
        printed = output.read_text(errors="replace")
        # With -e the shell ends with the first command that fails.
        return (0 if status.exists() else self._shell.wait()), printed

    def stop(self) -> None:
        """End the shell. Safe to call twice."""
        self._shell.kill()
        self._shell.wait()
        if self._shell.stdin is not None:
            self._shell.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
