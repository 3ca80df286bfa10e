"""What long work is doing, for who sits at a terminal; nothing for programs."""

import sys
from types import TracebackType
from typing import Self

from rich.progress import Progress as Bars
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from kubectl_danm.rendering import console_of
from kubectl_danm.view.report import harmless


class Progress:
    """One line on standard error that says what is done now, and is gone at the end."""

    def __init__(self) -> None:
        """Prepare."""
        console = console_of(sys.stderr)
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Begin to show it."""
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take it away."""
        self._bars.stop()

    def begin(self, what: str) -> None:
        """Say what is done now, instead of what was before."""
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task(harmless(what), total=None)
