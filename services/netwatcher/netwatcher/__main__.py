"""``netwatcher``: flags, logs, and the process that runs."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from danm_api.errors import DanmError
from danm_api.names import SYSTEM_NAMESPACE, NodeName
from danm_api.service_main import run_service
from danm_api.telemetry import configure_logging, configure_tracing, tell_version
from netwatcher import node_process, validator_process
from netwatcher.config import (
    COMPARE_PERIOD_S,
    NODE_HEALTH_PORT,
    VALIDATOR_HEALTH_PORT,
    NodeConfig,
    ValidatorConfig,
)
from netwatcher.group_limit import LIMIT_FILE
from netwatcher.version import VERSION

F = TypeVar("F", bound=Callable[..., Any])

# The prefix is each command's own: --node-name is DANM_NODE_NAME, not DANM_NODE_NODE_NAME.
_SETTINGS: Final = {
    "auto_envvar_prefix": "DANM",
    "show_default": True,
    "max_content_width": 100,
}


def _common_options(health_port: int) -> Callable[[F], F]:
    """Return the decorator that adds the options of both roles."""
    options = (
        click.option(
            "--kubeconfig",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="How to reach the API server; without it, by the Pod's service account.",
        ),
        click.option(
            "--health-host",
            default="",
            show_default="all addresses",
            help="Where /healthz, /readyz and /metrics are served.",
        ),
        click.option(
            "--health-port",
            type=click.IntRange(0, 65535),
            default=health_port,
            help="On which port.",
        ),
        click.option(
            "--log-level",
            type=click.Choice(["debug", "info", "warning", "error"]),
            default="info",
            help="How much is logged.",
        ),
    )

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@click.group(name="netwatcher", context_settings={"max_content_width": 100})
@click.version_option(VERSION, prog_name="netwatcher")
def main() -> None:
    """Keep DanmNets valid, and the links that they need on every node.

    Each option can be given as an environment variable too: --health-port as DANM_HEALTH_PORT.
    Traces go to OTEL_EXPORTER_OTLP_ENDPOINT when it is set.
    """


@main.command(name="node", context_settings=_SETTINGS)
@click.option(
    "--node-name",
    required=True,
    help="The Node that this process runs on; its DanmNode is written.",
)
@click.option(
    "--compare-period",
    type=click.FloatRange(1, 3600),
    default=COMPARE_PERIOD_S,
    help="Seconds between two comparisons of all links, beside what events tell at once.",
)
@click.option(
    "--group-limit-file",
    type=click.Path(path_type=Path),
    default=LIMIT_FILE,
    help="The sysctl net.ipv4.igmp_max_memberships of the node, writable. It is raised when the "
    "node needs more than 20 VXLAN networks.",
)
@_common_options(NODE_HEALTH_PORT)
def run_node(
    *,
    node_name: str,
    compare_period: float,
    group_limit_file: Path,
    kubeconfig: Path | None,
    health_host: str,
    health_port: int,
    log_level: str,
) -> None:
    """Keep this node's VXLAN and VLAN links as the DanmNets want them.

    Runs on the host's network, as root with the capability NET_ADMIN and no other. Only links whose
    alias begins with "danm:" are ever changed. They stay when this process ends.
    """
    configure_logging("netwatcher-node", level=log_level)
    tell_version("netwatcher-node", VERSION)
    configure_tracing("netwatcher-node")
    config = NodeConfig(
        kubeconfig=kubeconfig,
        node_name=NodeName(node_name),
        compare_period_s=compare_period,
        group_limit_file=group_limit_file,
        health_host=health_host,
        health_port=health_port,
    )

    async def serve(stop: asyncio.Event) -> None:
        await node_process.run(config, stop)

    run_service(serve)


@main.command(name="validator", context_settings=_SETTINGS)
@click.option(
    "--pod-name",
    default=socket.gethostname,
    show_default="host name",
    help="This replica's name in the Lease and on Events; unique among the replicas.",
)
@click.option(
    "--namespace", default=SYSTEM_NAMESPACE, help="Where the Lease of the replicas lives."
)
@_common_options(VALIDATOR_HEALTH_PORT)
def run_validator(
    *,
    pod_name: str,
    namespace: str,
    kubeconfig: Path | None,
    health_host: str,
    health_port: int,
    log_level: str,
) -> None:
    """Judge DanmNets, and bring accepted changes into force.

    Several replicas may run; one of them works, the others stand by.
    """
    configure_logging("netwatcher-validator", level=log_level)
    tell_version("netwatcher-validator", VERSION)
    configure_tracing("netwatcher-validator")
    config = ValidatorConfig(
        kubeconfig=kubeconfig,
        pod_name=pod_name,
        namespace=namespace,
        health_host=health_host,
        health_port=health_port,
    )

    async def serve(stop: asyncio.Event) -> None:
        await validator_process.run(config, stop)

    run_service(serve)


@main.command(name="cleanup", context_settings=_SETTINGS)
def run_cleanup() -> None:
    """Remove every link that netwatcher made on this node.

    For uninstalling: stop the node's netwatcher before, or it makes them again, and the Pods that
    use DANM, since their interfaces go with the links. Needs no API server.
    """

    async def clean() -> list[str]:
        async with node_process.open_kernel(LIMIT_FILE) as kernel:
            return await node_process.remove_all_links(kernel)

    try:
        removed = asyncio.run(clean())
    except (DanmError, OSError) as error:
        raise click.ClickException(str(error)) from error
    for name in removed:
        click.echo(f"removed {name}")
    click.echo(f"{len(removed)} links removed")


if __name__ == "__main__":
    main()
