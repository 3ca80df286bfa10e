"""Dashboards for Grafana and alerts for Prometheus, written as deploy/monitoring.

    PYTHONPATH=... python -m monitoring          (deploy/monitoring/README.md has the whole line)

Every metric is named by the object that counts it, so that one which is renamed or removed breaks a
test here and not a panel at night.
"""
