"""``ipam-svc``: flags, logs, and the process that runs."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import click

from danm_api.names import SYSTEM_NAMESPACE
from danm_api.service_main import run_service
from danm_api.telemetry import configure_logging, configure_tracing
from ipam_svc import process
from ipam_svc.config import API_PORT, HEALTH_PORT, LINGER_S, Config, danmd_user_of


def _parse_addresses(
    context: click.Context, parameter: click.Parameter, value: str
) -> tuple[IPv4Address | IPv6Address, ...]:
    try:
        return tuple(ip_address(text.strip()) for text in value.split(",") if text.strip())
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


@click.command(
    name="ipam-svc",
    context_settings={
        "auto_envvar_prefix": "DANM",
        "show_default": True,
        "max_content_width": 100,
    },
)
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
    help="Where /healthz, /readyz and /metrics are served.",
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
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    help="How much is logged.",
)
def main(
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
    log_level: str,
) -> None:
    """Hand out the addresses of DanmNets, over HTTPS, so that none is ever held twice.

    Any number of replicas may run; all serve, and one of them, by Lease, also frees what nobody can
    give back himself. All state is in DanmIPBlock objects.

    Each option can be given as an environment variable too: --health-port as DANM_HEALTH_PORT.
    Traces go to OTEL_EXPORTER_OTLP_ENDPOINT when it is set.
    """
    configure_logging("ipam-svc", level=log_level)
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
    )

    async def serve(stop: asyncio.Event) -> None:
        await process.run(config, stop)

    run_service(serve)


if __name__ == "__main__":
    main()
