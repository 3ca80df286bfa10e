"""``svcwatcher``: flags, logs, and the process that runs."""

import asyncio
import socket
from pathlib import Path

import click

from danm_api.names import SYSTEM_NAMESPACE
from danm_api.service_main import run_service
from danm_api.telemetry import configure_logging, configure_tracing, tell_version
from svcwatcher.config import HEALTH_PORT, Config, EndpointsMode
from svcwatcher.process import run
from svcwatcher.version import VERSION


@click.command(
    name="svcwatcher",
    context_settings={"auto_envvar_prefix": "DANM", "show_default": True, "max_content_width": 100},
)
@click.version_option(VERSION, prog_name="svcwatcher", allow_from_autoenv=False)
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="How to reach the API server; without it, by the Pod's service account.",
)
@click.option(
    "--pod-name",
    default=socket.gethostname,
    show_default="host name",
    help="This replica's name in the Lease and on Events; unique among the replicas.",
)
@click.option(
    "--namespace", default=SYSTEM_NAMESPACE, help="Where the Lease of the replicas lives."
)
@click.option(
    "--endpoints",
    type=click.Choice([mode.value for mode in EndpointsMode]),
    default=EndpointsMode.AUTO.value,
    help="auto: write the deprecated Endpoints beside the EndpointSlices, where the cluster still "
    "has them. never: write EndpointSlices only, and remove Endpoints that were written before.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=4,
    help="How many Services are worked on at once.",
)
@click.option(
    "--health-host",
    default="",
    show_default="all addresses",
    help="Where /healthz, /readyz and /metrics are served.",
)
@click.option(
    "--health-port", type=click.IntRange(0, 65535), default=HEALTH_PORT, help="On which port."
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
    pod_name: str,
    namespace: str,
    endpoints: str,
    concurrency: int,
    health_host: str,
    health_port: int,
    log_level: str,
) -> None:
    """Let Services be found at the addresses of the network that they ask for.

    Serves headless Services without selector that carry the annotations danm.k8s.io/selector and
    danm.k8s.io/network: their EndpointSlices and Endpoints hold the addresses of the selected
    Pods' interfaces on that DanmNet.

    Each option can be given as an environment variable too: --health-port as DANM_HEALTH_PORT.
    Traces go to OTEL_EXPORTER_OTLP_ENDPOINT when it is set.
    """
    configure_logging("svcwatcher", level=log_level)
    tell_version("svcwatcher", VERSION)
    configure_tracing("svcwatcher")
    config = Config(
        kubeconfig=kubeconfig,
        pod_name=pod_name,
        namespace=namespace,
        endpoints=EndpointsMode(endpoints),
        concurrency=concurrency,
        health_host=health_host,
        health_port=health_port,
    )

    async def serve(stop: asyncio.Event) -> None:
        await run(config, stop)

    run_service(serve)


if __name__ == "__main__":
    main()
