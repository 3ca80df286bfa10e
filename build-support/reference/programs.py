"""The page of options and environment variables, of the programs' own command lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import click

import danm_cni.__main__
import ipam_svc.__main__
import kubectl_danm.__main__
import netwatcher.__main__
import svcwatcher.__main__
from reference.markdown import NOTE, cell, code, table

_HEAD: Final = f"""# Programs: options and environment variables

{NOTE}

An option beats its variable, and that the default. `deploy/` and the chart set what a cluster
needs. All programs but `danm`, `fakeipam` and `kubectl danm` also take
[the variables of OpenTelemetry](#traces).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program with options.

    Attributes:
        name: What it is called here.
        command: What reads its options.
        where: Where it runs.
    """

    name: str
    command: click.Command
    where: str


PROGRAMS: Final = (
    Program(
        name="danmd",
        command=danm_cni.__main__.main,
        where="The DaemonSet `danm-cni`, on every node.",
    ),
    Program(name="ipam-svc", command=ipam_svc.__main__.main, where="The Deployment `danm-ipam`."),
    Program(
        name="netwatcher",
        command=netwatcher.__main__.main,
        where="The DaemonSet `danm-netwatcher` (`node`) and the Deployment `danm-validator`.",
    ),
    Program(
        name="svcwatcher",
        command=svcwatcher.__main__.main,
        where="The Deployment `danm-svcwatcher`.",
    ),
    Program(
        name="kubectl danm",
        command=kubectl_danm.__main__.main,
        where="A plugin of kubectl, on the machine of whoever asks.",
    ),
)

# CNI's own, which the runtime sets; the executables read no others and take no options.
CALL_VARIABLES: Final = {
    "CNI_COMMAND": "The verb.",
    "CNI_CONTAINERID": "The sandbox.",
    "CNI_IFNAME": "The interface's name.",
    "CNI_NETNS": "Path of the network namespace.",
}
EXECUTABLE_VARIABLES: Final = {
    "DANM_SOCKET": "danmd's socket, `/run/danm/danmd.sock` by default.",
    "DANM_READY_MARKER": "The file that is there once danmd has been ready since the node booted, "
    "`/run/danm/ready` by default.",
    "DANM_TOMBSTONES": "Where `danm` leaves a DEL that found no danmd, "
    "`/var/lib/danm/tombstones` by default.",
    "DANM_FAKEIPAM_TOMBSTONES": "Where `fakeipam` does, "
    "`/var/lib/danm/fakeipam-tombstones` by default.",
}
TRACING_VARIABLES: Final = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "Where traces are sent by OTLP over HTTP; without it none are.",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "The same, for traces alone.",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "`http/protobuf`, the only one that is built in. A collector "
    "has another port for it (usually 4318) than for `grpc` (4317).",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "The same, for traces alone.",
    "OTEL_TRACES_EXPORTER": "`otlp`: as without it where an endpoint is set, and without one to "
    "`http://localhost:4318`. `console`: a JSON object a line, on standard output. Both with a "
    "comma between. `none`: no traces, whatever else is set.",
    "OTEL_SDK_DISABLED": "`true`: no traces, whatever else is set.",
    "OTEL_SERVICE_NAME": "The process's name in traces, instead of its own.",
}


def page() -> str:
    """Return the page in Markdown."""
    return "\n".join(_lines()).rstrip("\n") + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD
    for program in PROGRAMS:
        yield f"## {program.name}\n\n{program.where}\n"
        yield from _command(program.command, program.name, None, title="")
    yield "## danm and fakeipam\n"
    yield "Executables without options, which container runtimes and CNI plugins start. They"
    yield "hand their whole environment and input to danmd. What they read of it themselves:\n"
    yield from _variables(EXECUTABLE_VARIABLES)
    yield from _variables(CALL_VARIABLES)
    yield "## Traces\n"
    yield "Of danmd, ipam-svc, netwatcher and svcwatcher. The exporter and the sampler also read"
    yield "what OpenTelemetry defines for every program.\n"
    yield "As OpenTelemetry's specification has it, a value that is not known is ignored; a"
    yield "warning, `Ignored a setting of traces`, says at the start what to set instead. At its"
    yield "end a process spends 2 s at most on what no collector has taken.\n"
    yield from _variables(TRACING_VARIABLES)


def _variables(variables: dict[str, str]) -> Iterator[str]:
    yield from table(
        ("variable", "meaning"), [(code(name), text) for name, text in variables.items()]
    )


def _command(
    command: click.Command, name: str, parent: click.Context | None, *, title: str
) -> Iterator[str]:
    settings = dict(command.context_settings, show_default=True)
    context = click.Context(command, parent=parent, info_name=name, **settings)
    if title:
        yield f"### {title}\n"
    yield f"{_sentences(command.help or '')}\n"
    yield f"    {' '.join([context.command_path, *command.collect_usage_pieces(context)])}\n"
    options = [
        each for each in command.params if isinstance(each, click.Option) and not each.hidden
    ]
    if options:
        rows = [option_row(each, context) for each in options]
        head = ("option", "variable", "value", "default", "meaning")
        shown = [at for at in range(len(head)) if at == 0 or any(row[at] for row in rows)]
        yield from table([head[at] for at in shown], [[row[at] for at in shown] for row in rows])
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            inner = command.get_command(context, each)
            if inner is not None and not inner.hidden:
                yield from _command(inner, each, context, title=f"{context.command_path} {each}")


def _sentences(text: str) -> str:
    """Return a help text as paragraphs; click's marks of those that stay as they are fall away."""
    return "\n\n".join(
        cell(paragraph) for paragraph in text.replace("\b", "").split("\n\n") if paragraph.strip()
    )


def option_row(option: click.Option, context: click.Context) -> Sequence[str]:
    """Return the cells of an option: names, variables, value, default, meaning."""
    names = ", ".join(code(each) for each in (*option.opts, *option.secondary_opts))
    extra = option.get_help_extra(context)
    meaning = cell(option.help or "")
    if extra.get("required"):
        meaning = f"{meaning} Required."
    bounds = extra.get("range", "") or option.make_metavar(context)
    value = "" if option.is_flag or option.count else code(bounds)
    return (
        names,
        ", ".join(map(code, variables(option, context))),
        value,
        extra.get("default", ""),
        meaning,
    )


def variables(option: click.Option, context: click.Context) -> Sequence[str]:
    """Return the environment variables that click reads for an option; the first set one counts."""
    given = option.envvar if option.envvar is not None else ()
    named = [given] if isinstance(given, str) else list(given)
    prefix = context.auto_envvar_prefix
    if option.allow_from_autoenv and prefix is not None and option.name is not None:
        named.append(f"{prefix}_{option.name.upper()}")
    return list(dict.fromkeys(named))
