"""``ipam-svc``: flags, logs, and the process that runs; ``fsck`` is its other command."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import click

from danm_api.names import SYSTEM_NAMESPACE
from danm_api.service_main import run_service
from danm_api.telemetry import configure_logging, configure_tracing, tell_version
from ipam_svc import process
from ipam_svc.config import API_PORT, HEALTH_PORT, LINGER_S, Config, danmd_user_of
from ipam_svc.fsck import fsck
from ipam_svc.limits import Limits, Rate
from ipam_svc.version import VERSION

_USUAL = Limits()
_COUNT = click.IntRange(min=1)
_RATE = click.FloatRange(min=0, min_open=True)


def _parse_addresses(
    context: click.Context, parameter: click.Parameter, value: str
) -> tuple[IPv4Address | IPv6Address, ...]:
    try:
        return tuple(ip_address(text.strip()) for text in value.split(",") if text.strip())
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


@click.group(
    name="ipam-svc",
    invoke_without_command=True,
    context_settings={
        "auto_envvar_prefix": "DANM",
        "show_default": True,
        "max_content_width": 100,
    },
)
@click.version_option(VERSION, prog_name="ipam-svc", allow_from_autoenv=False)
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="How to reach the API server; without it, by the Pod's service account.",
)
@click.option(
    "--namespace",
    default=SYSTEM_NAMESPACE,
    help="Where the Lease, the CA's Secret and the trust's ConfigMap live.",
)
@click.option(
    "--pod-name",
    default=socket.gethostname,
    show_default="the host's name",
    help="This replica's name in the Lease and on Events; unique among replicas.",
)
@click.option(
    "--pod-ip",
    default="",
    callback=_parse_addresses,
    help="The addresses that the serving certificate carries, separated by commas.",
)
@click.option("--host", default="", show_default="all addresses", help="Where the API is served.")
@click.option("--port", type=click.IntRange(0, 65535), default=API_PORT, help="On which port.")
@click.option(
    "--health-host",
    default="",
    show_default="all addresses",
    help="Where /healthz and /readyz are served.",
)
@click.option(
    "--health-port",
    type=click.IntRange(0, 65535),
    default=HEALTH_PORT,
    help="On which port.",
)
@click.option(
    "--danmd-user",
    default=None,
    show_default="the service account danm-cni of the namespace",
    help="The user name of every node's danmd, which acts for the Pods of its node only.",
)
@click.option(
    "--linger",
    type=click.FloatRange(0, 15),
    default=LINGER_S,
    help="Seconds for which a replica still serves after SIGTERM, while callers learn of its end.",
)
@click.option(
    "--max-requests",
    type=_COUNT,
    default=_USUAL.in_flight,
    help="Requests answered at once; more get 503 with Retry-After.",
)
@click.option(
    "--max-caller-requests",
    type=_COUNT,
    default=_USUAL.caller_in_flight,
    help="The same for one caller that is no danmd.",
)
@click.option(
    "--caller-rate",
    type=_RATE,
    default=_USUAL.caller.per_s,
    help="Requests a second of one caller that is no danmd; more get 429 with Retry-After.",
)
@click.option(
    "--caller-burst", type=_COUNT, default=_USUAL.caller.burst, help="And after a pause, at once."
)
@click.option(
    "--node-rate",
    type=_RATE,
    default=_USUAL.node.per_s,
    help="Requests a second of one node's danmd.",
)
@click.option(
    "--node-burst", type=_COUNT, default=_USUAL.node.burst, help="And after a pause, at once."
)
@click.option(
    "--review-rate",
    type=_RATE,
    default=_USUAL.reviews.per_s,
    help="Tokens of one address, and permissions of one caller, that the API server is asked about"
    " in a second.",
)
@click.option(
    "--review-burst", type=_COUNT, default=_USUAL.reviews.burst, help="And after a pause, at once."
)
@click.option(
    "--max-connections",
    type=_COUNT,
    default=_USUAL.connections,
    help="Connections that are open at once: one for each node, and some for tools.",
)
@click.option(
    "--max-address-connections",
    type=_COUNT,
    default=_USUAL.address_connections,
    help="The same for one address.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    help="How much is logged.",
)
@click.pass_context
def main(
    context: click.Context,
    *,
    kubeconfig: Path | None,
    namespace: str,
    pod_name: str,
    pod_ip: tuple[IPv4Address | IPv6Address, ...],
    host: str,
    port: int,
    health_host: str,
    health_port: int,
    danmd_user: str | None,
    linger: float,
    max_requests: int,
    max_caller_requests: int,
    caller_rate: float,
    caller_burst: int,
    node_rate: float,
    node_burst: int,
    review_rate: float,
    review_burst: int,
    max_connections: int,
    max_address_connections: int,
    log_level: str,
) -> None:
    """Hand out the addresses of DanmNets, over HTTPS, so that none is ever held twice.

    Any number of replicas may run; all serve, and one of them, by Lease, also frees what nobody can
    give back himself. All state is in DanmIPBlock objects.

    Each option can be given as an environment variable too: --health-port as DANM_HEALTH_PORT.
    Traces go to OTEL_EXPORTER_OTLP_ENDPOINT when it is set.
    """
    if context.invoked_subcommand is not None:
        return
    configure_logging("ipam-svc", level=log_level)
    tell_version("ipam-svc", VERSION)
    configure_tracing("ipam-svc")
    config = Config(
        kubeconfig=kubeconfig,
        namespace=namespace,
        pod_name=pod_name,
        addresses=pod_ip,
        host=host,
        port=port,
        health_host=health_host,
        health_port=health_port,
        danmd_user=danmd_user or danmd_user_of(namespace),
        linger_s=linger,
        limits=Limits(
            in_flight=max_requests,
            caller_in_flight=max_caller_requests,
            caller=Rate(per_s=caller_rate, burst=caller_burst),
            node=Rate(per_s=node_rate, burst=node_burst),
            reviews=Rate(per_s=review_rate, burst=review_burst),
            connections=max_connections,
            address_connections=max_address_connections,
        ),
    )

    async def serve(stop: asyncio.Event) -> None:
        await process.run(config, stop)

    run_service(serve)


main.add_command(fsck)


if __name__ == "__main__":
    main()
