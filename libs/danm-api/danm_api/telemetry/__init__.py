"""Logs, traces, health and metrics: what every process of DANM has.

Metrics themselves are defined with prometheus_client beside the code that counts; HealthServer
serves them. Listener serves any HTTP within bounds.
"""

from danm_api.telemetry.bounds import Bounds, Patience
from danm_api.telemetry.health import HealthServer, Readiness
from danm_api.telemetry.listener import Listener
from danm_api.telemetry.logs import Logger, configure_logging, get_logger
from danm_api.telemetry.traces import (
    configure_tracing,
    current_trace_id,
    extract,
    inject,
    shutdown_tracing,
    span,
)

__all__ = [
    "Bounds",
    "HealthServer",
    "Listener",
    "Logger",
    "Patience",
    "Readiness",
    "configure_logging",
    "configure_tracing",
    "current_trace_id",
    "extract",
    "get_logger",
    "inject",
    "shutdown_tracing",
    "span",
]
