"""Logs, traces, health and metrics: what every process of DANM has.

Metrics themselves are defined with prometheus_client beside the code that counts; HealthServer
serves them. Listener serves any HTTP within bounds.
"""

from opentelemetry.trace import SpanKind

from danm_api.telemetry.bounds import Bounds, Patience
from danm_api.telemetry.build_info import tell_version
from danm_api.telemetry.correlation import (
    REQUEST_ID_HEADER,
    correlated,
    current_request_ids,
    inject_request_id,
)
from danm_api.telemetry.export import configure_tracing, shutdown_tracing
from danm_api.telemetry.health import HealthServer, Readiness
from danm_api.telemetry.listener import Listener
from danm_api.telemetry.logs import Logger, configure_logging, get_logger
from danm_api.telemetry.scrapes import exposition
from danm_api.telemetry.traces import (
    current_trace,
    current_trace_id,
    extract,
    inject,
    recorded_trace_id,
    shared_by,
    span,
    wait_span,
)

__all__ = [
    "REQUEST_ID_HEADER",
    "Bounds",
    "HealthServer",
    "Listener",
    "Logger",
    "Patience",
    "Readiness",
    "SpanKind",
    "configure_logging",
    "configure_tracing",
    "correlated",
    "current_request_ids",
    "current_trace",
    "current_trace_id",
    "exposition",
    "extract",
    "get_logger",
    "inject",
    "inject_request_id",
    "recorded_trace_id",
    "shared_by",
    "shutdown_tracing",
    "span",
    "tell_version",
    "wait_span",
]
