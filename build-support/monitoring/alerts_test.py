"""What is promised of every alert; tests/monitoring makes them fire."""

import re

import pytest

from ipam_svc.certificates import USUAL
from monitoring.alerts import Alert, alerts
from monitoring.durations import Durations

_EACH = [pytest.param(alert, id=alert.name) for alert in alerts()]


@pytest.mark.parametrize("alert", _EACH)
def test_an_alert_is_told_from_those_of_others(alert: Alert) -> None:
    """Its name begins as all of DANM's do, and says what is wrong in few words."""
    assert re.fullmatch(r"Danm[A-Z][A-Za-z]+", alert.name)
    assert alert.summary
    assert alert.description.endswith(".")
    reasons = [cause.reason for cause in alert.causes]
    assert len(reasons) == len(set(reasons))


@pytest.mark.parametrize("alert", _EACH)
def test_an_alert_waits_for_what_ends_by_itself(alert: Alert) -> None:
    """A restart, a round of upkeep or a late scrape wakes nobody."""
    assert alert.for_s >= 60


def test_tests_have_the_same_alerts_in_less_time() -> None:
    """Only times differ, so what fires there would fire here."""
    shortened = alerts(Durations(scale=0.01))
    assert [alert.name for alert in shortened] == [alert.name for alert in alerts()]
    for short, usual in zip(shortened, alerts(), strict=True):
        assert short.for_s == pytest.approx(usual.for_s / 100)
        assert [each.reason for each in short.causes] == [each.reason for each in usual.causes]


def test_certificates_are_late_before_they_end() -> None:
    """Thresholds lie between the usual renewal and the end, whatever the lifetimes are."""
    serving, authority = _thresholds_s()
    assert 0 < serving < (USUAL.serving - USUAL.serving_renewal).total_seconds()
    assert 0 < authority < USUAL.authority_renewal.total_seconds()


def _thresholds_s() -> tuple[float, ...]:
    (alert,) = (each for each in alerts() if each.name == "DanmCertificateNearExpiry")
    return tuple(float(cause.condition.removeprefix("< ")) for cause in alert.causes)
