"""What the standard variables say of where traces go."""

from collections.abc import Mapping
from typing import Final

import pytest

from danm_api.telemetry.export_settings import Exporter, read_export_settings

_ENDPOINT: Final = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
_OTLP: Final = (Exporter.OTLP,)


@pytest.mark.parametrize(
    ("environ", "exporters"),
    [
        pytest.param({}, (), id="nothing"),
        pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, (), id="empty endpoint"),
        pytest.param(_ENDPOINT, _OTLP, id="endpoint"),
        pytest.param({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c"}, _OTLP, id="of traces"),
        pytest.param(_ENDPOINT | {"OTEL_TRACES_EXPORTER": ""}, _OTLP, id="empty exporter"),
        pytest.param(_ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, (), id="none"),
        pytest.param(_ENDPOINT | {"OTEL_TRACES_EXPORTER": " None "}, (), id="None"),
        pytest.param(_ENDPOINT | {"OTEL_TRACES_EXPORTER": "none,otlp"}, (), id="none, otlp"),
        # To the usual place of a collector, on this machine.
        pytest.param({"OTEL_TRACES_EXPORTER": "otlp"}, _OTLP, id="otlp"),
        pytest.param({"OTEL_TRACES_EXPORTER": "console"}, (Exporter.CONSOLE,), id="console"),
        pytest.param(
            {"OTEL_TRACES_EXPORTER": "console, OTLP,console"},
            (Exporter.OTLP, Exporter.CONSOLE),
            id="both",
        ),
        pytest.param(_ENDPOINT | {"OTEL_SDK_DISABLED": " TRUE"}, (), id="disabled"),
        pytest.param(_ENDPOINT | {"OTEL_SDK_DISABLED": "false"}, _OTLP, id="not disabled"),
        pytest.param(
            _ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "HTTP/protobuf"}, _OTLP, id="protocol"
        ),
        pytest.param(
            _ENDPOINT
            | {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            _OTLP,
            id="protocol of traces",
        ),
        pytest.param(
            _ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_TRACES_EXPORTER": "none"},
            (),
            id="protocol of nothing",
        ),
    ],
)
def test_what_is_known_counts(environ: Mapping[str, str], exporters: tuple[Exporter, ...]) -> None:
    """In any case of letters, and an empty variable is none; nothing is complained about."""
    settings = read_export_settings(environ)
    assert settings.exporters == exporters
    assert settings.ignored == ()


@pytest.mark.parametrize(
    ("environ", "exporters", "variable", "instead"),
    [
        pytest.param(
            _ENDPOINT | {"OTEL_TRACES_EXPORTER": "zipkin"},
            _OTLP,
            "OTEL_TRACES_EXPORTER",
            "otlp, console, none",
            id="exporter",
        ),
        pytest.param(
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            (),
            "OTEL_TRACES_EXPORTER",
            "otlp, console, none",
            id="exporter without endpoint",
        ),
        pytest.param(
            _ENDPOINT | {"OTEL_TRACES_EXPORTER": "zipkin,console"},
            (Exporter.CONSOLE,),
            "OTEL_TRACES_EXPORTER",
            "otlp, console, none",
            id="one of two exporters",
        ),
        pytest.param(
            _ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            _OTLP,
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "http/protobuf",
            id="protocol",
        ),
        pytest.param(
            _ENDPOINT
            | {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
            },
            _OTLP,
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "http/protobuf",
            id="protocol of traces",
        ),
        pytest.param(
            _ENDPOINT | {"OTEL_SDK_DISABLED": "yes"},
            _OTLP,
            "OTEL_SDK_DISABLED",
            "true or false",
            id="disabled",
        ),
    ],
)
def test_what_is_not_known_is_ignored_and_told(
    environ: Mapping[str, str], exporters: tuple[Exporter, ...], variable: str, instead: str
) -> None:
    """As OpenTelemetry's specification says; who set it is told what to set."""
    settings = read_export_settings(environ)
    assert settings.exporters == exporters
    (ignored,) = settings.ignored
    assert ignored.variable == variable
    assert ignored.value in environ[variable].split(",")
    assert ignored.instead.startswith(instead)
