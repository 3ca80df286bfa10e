"""The rules are what Prometheus takes; each alert fires for each of its causes, and clears."""

from pathlib import Path
from typing import Final

import yaml

from monitoring.alerts import alerts
from tests.monitoring.alert_cases import CASES, INTERVAL
from tests.monitoring.prometheus import promtool
from tests.monitoring.queries import DIRECTORY

RULES: Final = DIRECTORY / "rules" / "danm.yaml"


def test_prometheus_takes_the_rules() -> None:
    """``promtool check rules`` finds nothing."""
    found = promtool("check", "rules", str(RULES))
    assert f"{len(alerts())} rules found" in found


def test_alerts_fire_and_clear(tmp_path: Path) -> None:
    """An alert fires while its cause lasts, not before and not afterwards."""
    named = {alert.name: alert for alert in alerts()}
    file = tmp_path / "test.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "rule_files": [str(RULES)],
                "evaluation_interval": INTERVAL,
                "tests": [{"name": name, **case.as_test(named)} for name, case in CASES.items()],
            }
        )
    )
    promtool("test", "rules", str(file))


def test_every_cause_has_a_case() -> None:
    """None fires only in theory, each clears, and each alert is silent where all is well."""
    causes = {(alert.name, cause.reason) for alert in alerts() for cause in alert.causes}
    tried = {(case.alert, fired.reason) for case in CASES.values() for fired in case.fired}
    assert tried == causes
    for case in CASES.values():
        if case.fires_at is not None:
            assert min(case.silent_at) < case.fires_at
    clearing = {
        case.alert
        for case in CASES.values()
        if case.fires_at is not None and max(case.silent_at) > case.fires_at
    }
    assert clearing == {alert.name for alert in alerts()}
    assert {case.alert for case in CASES.values() if not case.fired} == clearing
