"""The last line of ./test tells the truth."""

from pathlib import Path

import pytest

from checks.totals import Totals, main, read_report

REPORT = (
    '<testsuites><testsuite name="pytest" errors="1" failures="2" skipped="3" tests="10"/>'
    "</testsuites>"
)


def test_errors_count_as_failures() -> None:
    """A test whose fixture broke did not pass."""
    assert read_report(REPORT) == Totals(passed=4, failed=3, skipped=3)


def test_reports_and_steps_are_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All reports below the directory count, with the steps; a failure is an exit status."""
    (tmp_path / "below").mkdir()
    (tmp_path / "a.xml").write_text(REPORT)
    (tmp_path / "below" / "b.xml").write_text(REPORT)

    status = main([str(tmp_path), "5", "0", "1"])

    assert (status, capsys.readouterr().out) == (1, "13 passed, 6 failed, 6 skipped\n")


def test_no_failure_is_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without reports the steps alone are counted."""
    status = main([str(tmp_path), "2", "0", "0"])

    assert (status, capsys.readouterr().out) == (0, "2 passed, 0 failed\n")


def test_a_run_without_a_report_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing that failed can look like success because no report was written."""
    status = main([str(tmp_path), "2", "0", "1"])

    assert (status, capsys.readouterr().out) == (1, "2 passed, 1 failed\n")
