"""What OpenTelemetry's standard variables say of where traces go.

Source: OpenTelemetry's "Environment Variable Specification": a variable that is empty counts as
one that is not set, and a value that is not known is told by a warning and ignored.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_DISABLED: Final = "OTEL_SDK_DISABLED"
_EXPORTERS: Final = "OTEL_TRACES_EXPORTER"
_NO_EXPORTER: Final = "none"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
# What is said of traces alone goes before what is said of all signals.
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
# gRPC would bring all images another compiled library, for the same traces.
_PROTOCOL: Final = "http/protobuf"


class Exporter(StrEnum):
    """Where spans go; the values are OTEL_TRACES_EXPORTER's."""

    OTLP = "otlp"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A setting without effect.

    Attributes:
        variable: Its name.
        value: As it is set.
        instead: What to set.
    """

    variable: str
    value: str
    instead: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """What the variables say.

    Attributes:
        exporters: Each once; none where no traces are exported.
        ignored: What they say besides.
    """

    exporters: tuple[Exporter, ...]
    ignored: tuple[Ignored, ...]


def read_export_settings(environ: Mapping[str, str]) -> ExportSettings:
    """Read the variables.

    Without OTEL_TRACES_EXPORTER an endpoint says that traces go there by OTLP. The specification
    has that for a process without endpoint too; here most have no collector beside them.
    """
    disabled = environ.get(_DISABLED, "").strip()
    if disabled.lower() == "true":
        return ExportSettings(exporters=(), ignored=())
    ignored: list[Ignored] = []
    if disabled.lower() not in {"", "false"}:
        ignored.append(Ignored(variable=_DISABLED, value=disabled, instead="true or false"))
    names = [name.strip() for name in environ.get(_EXPORTERS, "").split(",") if name.strip()]
    known = {name.lower() for name in names} & {*Exporter, _NO_EXPORTER}
    ignored += (
        Ignored(variable=_EXPORTERS, value=name, instead=", ".join((*Exporter, _NO_EXPORTER)))
        for name in names
        if name.lower() not in known
    )
    if not known and any(environ.get(name) for name in _ENDPOINTS):
        known = {Exporter.OTLP}
    exporters = () if _NO_EXPORTER in known else tuple(each for each in Exporter if each in known)
    if Exporter.OTLP in exporters:
        ignored += _ignored_protocols(environ)
    return ExportSettings(exporters=exporters, ignored=tuple(ignored))


def _ignored_protocols(environ: Mapping[str, str]) -> Iterator[Ignored]:
    variable = next((name for name in _PROTOCOLS if environ.get(name, "").strip()), None)
    if variable is not None and environ[variable].strip().lower() != _PROTOCOL:
        instead = f"{_PROTOCOL}, and the collector's port for it in the endpoint, usually 4318"
        yield Ignored(variable=variable, value=environ[variable], instead=instead)
