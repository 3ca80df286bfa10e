"""Rule files, and the pages that alerts lead to."""

from pathlib import Path
from typing import Final

import yaml

from monitoring.alerts import Alert, Cause, Severity, alerts
from monitoring.rules import RUNBOOKS, rule_file, rule_text

_ROOT: Final = Path(__file__).resolve().parents[2]
# What each page tells.
_HEADINGS: Final = [
    "## What it means for users",
    "## How to see it",
    "## Causes",
    "## What to do",
    "## How to know that it is over",
]


def test_each_alert_has_a_page_and_each_page_an_alert() -> None:
    """Nobody who is woken finds nothing, and no page is of an alert of yesterday."""
    rules = rule_file(alerts())["groups"][0]["rules"]
    named = {str(_ROOT / each["annotations"]["runbook_url"]) for each in rules}
    assert named == {str(path) for path in (_ROOT / RUNBOOKS).iterdir()}


def test_each_page_tells_all_that_is_needed_at_night() -> None:
    """What users notice, what to look at, causes, what to do, and the end; and each cause."""
    for alert in alerts():
        page = (_ROOT / RUNBOOKS / f"{alert.name}.md").read_text()
        assert page.startswith(f"# {alert.name}\n")
        assert [line for line in page.splitlines() if line.startswith("## ")] == _HEADINGS
        if len(alert.causes) > 1:
            words = page.lower()
            assert [
                cause.reason
                for cause in alert.causes
                if cause.reason.lower() not in words and f"`{cause.reason.split()[1]}`" not in words
            ] == []


def test_a_rule_is_what_prometheus_reads() -> None:
    """All causes are one query, and times have units."""
    alert = Alert(
        name="Name",
        severity=Severity.CRITICAL,
        causes=(
            Cause(reason="one", measure="a", condition="> 1"),
            Cause(reason="two", measure="b", condition="== 0"),
        ),
        for_s=300.0,
        summary="s",
        description="d",
    )
    text = rule_text(rule_file([alert], runbooks="https://wiki.example/"))
    (rule,) = yaml.safe_load(text)["groups"][0]["rules"]
    assert rule == {
        "alert": "Name",
        "expr": 'label_replace((a) > 1, "reason", "one", "", "")\nor\n'
        'label_replace((b) == 0, "reason", "two", "", "")',
        "for": "5m",
        "labels": {"severity": "critical"},
        "annotations": {
            "summary": "s",
            "description": "d",
            "runbook_url": "https://wiki.example/Name.md",
        },
    }
