"""Alerts as a rule file of Prometheus."""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

import yaml

from monitoring.alerts import Alert
from monitoring.durations import write

RUNBOOKS: Final = PurePosixPath("docs/runbooks")


def rule_file(alerts: Iterable[Alert], *, runbooks: str = str(RUNBOOKS)) -> dict[str, Any]:
    """Return the content of a rule file.

    Args:
        alerts: What it alerts of.
        runbooks: Where their pages are: a URL, or a path in this repository.
    """
    return {"groups": [{"name": "danm", "rules": [_rule(each, runbooks) for each in alerts]}]}


def rule_text(content: Mapping[str, Any]) -> str:
    """Return a rule file's text."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)


def _rule(alert: Alert, runbooks: str) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": write(alert.for_s),
        "labels": {"severity": str(alert.severity)},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{runbooks.rstrip('/')}/{alert.name}.md",
        },
    }


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent)
