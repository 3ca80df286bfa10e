"""Adds up what test reports say, for the last line of ./test."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """How many tests had which end. Errors of fixtures count as failures."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(
            passed=self.passed + other.passed,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
        )

    def line(self) -> str:
        """Return the one line that a person or a CI reads."""
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def read_report(text: str) -> Totals:
    """Return the totals of one report in JUnit's XML form, as pytest writes it."""
    # The reports are our own tests': nobody else writes to dist/.
    root = ElementTree.fromstring(text)  # noqa: S314
    totals = Totals()
    for suite in root.iter("testsuite"):
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        tests = int(suite.get("tests", 0))
        totals += Totals(passed=tests - failed - skipped, failed=failed, skipped=skipped)
    return totals


def total(reports: Iterable[Path], *, steps: Totals, failed_runs: int) -> Totals:
    """Return the totals of report files and of steps that are no tests with a report.

    Args:
        reports: Files that pytest wrote.
        steps: What counts beside them.
        failed_runs: Runs of tests that failed. Usually their reports say which test it was; a run
            that broke before it wrote one counts as a failure itself.
    """
    tests = sum((read_report(report.read_text()) for report in reports), start=Totals())
    unreported = max(failed_runs - tests.failed, 0)
    return tests + steps + Totals(failed=unreported)


def main(arguments: list[str]) -> int:
    """Print the totals of `DIRECTORY PASSED FAILED FAILED_RUNS`; fail when anything failed.

    PASSED and FAILED count the steps of ./test itself, FAILED_RUNS its failed runs of tests.
    """
    directory, passed, failed, failed_runs = arguments
    totals = total(
        sorted(Path(directory).glob("**/*.xml")),
        steps=Totals(passed=int(passed), failed=int(failed)),
        failed_runs=int(failed_runs),
    )
    print(totals.line())
    return 1 if totals.failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
