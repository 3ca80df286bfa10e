"""danmd: DANM's node daemon, and the commands that put DANM onto a node and take it off."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import click

from danm_api import labels
from danm_api.codec.danmep import decode_endpoint_identity
from danm_api.ipam_client import IpamClient
from danm_api.ipam_discovery import IpamDiscovery
from danm_api.kube.api import DANMEPS
from danm_api.kube.client import KubeClient
from danm_api.names import SYSTEM_NAMESPACE, NodeName
from danm_api.service_main import run_service
from danm_api.telemetry import configure_logging, configure_tracing, get_logger, tell_version
from danm_cni.ahead import Ahead
from danm_cni.allocation_journal import users_in
from danm_cni.attempts import AttemptCounter
from danm_cni.config import DEFAULT_POD_RESOURCES, HEALTH_PORT, Config, HostPaths
from danm_cni.daemon import Daemon, Edges
from danm_cni.delegate_config import DpdkSettings
from danm_cni.installation import FAKEIPAM_ALONE, Installation
from danm_cni.ipam_client import NodeAddresses
from danm_cni.ipam_only import IpamOnlyDaemon
from danm_cni.kernel import KernelInterfaces
from danm_cni.networks import Networks
from danm_cni.node_lock import node_lock
from danm_cni.pod_resources import PodResources
from danm_cni.processes import PluginProcesses
from danm_cni.rehearsal import rehearse
from danm_cni.version import VERSION

log = get_logger(__name__)

_ENVIRONMENT_PREFIX = "DANM"
_READABLE = click.Path(path_type=Path)


def _host_paths(values: dict[str, Any]) -> HostPaths:
    return HostPaths(
        root=values.pop("host_root"),
        cni_config=values.pop("cni_conf_dir"),
        cni_bin=values.pop("cni_bin_dir"),
        executables=values.pop("executables_dir"),
        state=values.pop("state_dir"),
        run=values.pop("run_dir"),
    )


@click.group(
    invoke_without_command=True,
    context_settings={"auto_envvar_prefix": _ENVIRONMENT_PREFIX, "show_default": True},
    help="DANM's node daemon. Without a command it runs until SIGTERM.",
)
@click.version_option(VERSION, prog_name="danmd", allow_from_autoenv=False)
@click.option("--node-name", envvar="DANM_NODE_NAME", help="Name of the Node object of this node.")
@click.option(
    "--pod-uid",
    default="",
    help="Uid of its own Pod, which does not install again once it has taken DANM off the node.",
)
@click.option(
    "--namespace",
    envvar="DANM_NAMESPACE",
    default=SYSTEM_NAMESPACE,
    help="Where DANM is installed.",
)
@click.option(
    "--kubeconfig", type=_READABLE, help="How to reach the API server; default: as a Pod does."
)
@click.option(
    "--host-root",
    type=_READABLE,
    default=Path("/proc/1/root"),
    help="The host's root directory as danmd sees it.",
)
@click.option(
    "--cni-conf-dir",
    default="/etc/cni/net.d",
    help="The runtime's CNI configuration directory, on the host.",
)
@click.option(
    "--cni-bin-dir", default="/opt/cni/bin", help="The runtime's CNI plugin directory, on the host."
)
@click.option(
    "--executables-dir",
    type=_READABLE,
    default=Path("/opt/danm/bin"),
    help="Where the executables danm and fakeipam are, in the image.",
)
@click.option(
    "--state-dir",
    type=_READABLE,
    default=Path("/var/lib/danm"),
    help="Journal and tombstones; must be the host's own /var/lib/danm and survive restarts.",
)
@click.option(
    "--run-dir",
    type=_READABLE,
    default=Path("/run/danm"),
    help="Socket and marker; must be the host's own /run/danm.",
)
@click.option(
    "--fallback-config",
    help="CNI configuration on the host for Pods that ask for no network; 'none' for no such "
    "network. Default: the one that was the node's first when DANM came.",
)
@click.option(
    "--allowed-static-types",
    help="Comma-separated NetworkTypes beside the built-in ones that DanmNets may name. "
    "Default: all.",
)
@click.option("--max-sandboxes", default=64, type=click.IntRange(1), help="Pods made at once.")
@click.option(
    "--max-waiting",
    default=1000,
    type=click.IntRange(0),
    help="Pods that wait for their turn; the runtime is told to try again beyond that.",
)
@click.option(
    "--max-plugins",
    default=32,
    type=click.IntRange(1),
    help="Chains of other CNI plugins (static types, SR-IOV, the fallback) that run at once to "
    "make interfaces, and as many again to remove them: they take memory of danmd's container.",
)
@click.option(
    "--delegates-in-host-mounts/--delegates-in-own-mounts",
    default=True,
    help="Run other CNI plugins in the mount namespace of process 1.",
)
@click.option("--health-host", default="", help="Address of health and metrics; default: all.")
@click.option(
    "--health-port",
    default=HEALTH_PORT,
    type=click.IntRange(0, 65535),
    help="Port of health and metrics.",
)
@click.option(
    "--ipam-token-file",
    type=_READABLE,
    default=Path("/var/run/secrets/danm/ipam-token"),
    help="The token by which ipam-svc knows danmd; the kubelet renews it.",
)
@click.option("--dpdk-kernel-driver", default="", help="For sriov networks with dpdk.")
@click.option("--dpdk-driver", default="", help="For sriov networks with dpdk.")
@click.option("--dpdk-tool", default="", help="For sriov networks with dpdk.")
@click.option(
    "--flannel-bridge",
    envvar="FLANNEL_BRIDGE",
    default="cbr0",
    help="Name of the directory below /var/lib/cni/networks where host-local keeps flannel's "
    "addresses; what a DEL leaves there is removed.",
)
@click.option(
    "--pod-resources-socket",
    default=DEFAULT_POD_RESOURCES,
    help="The kubelet's socket on the host that tells which devices Pods have (sriov networks with "
    "device_pool).",
)
@click.option(
    "--install/--no-install",
    default=True,
    help="Put the executables and the CNI configuration onto the host when ready.",
)
@click.option(
    "--cni-version",
    type=click.Choice(["0.4.0", "1.0.0", "1.1.0"]),
    help="Of the installed configuration; by default 1.1.0, and 1.0.0 for runtimes that know no "
    "newer one.",
)
@click.option(
    "--ipam-only",
    is_flag=True,
    help="Serve other CNI plugins' fakeipam and nothing else: no CNI configuration is installed.",
)
@click.option(
    "--started-file",
    type=_READABLE,
    help="Gets its process id when danmd has started; one that waits for the end of another one of "
    "the node, whose port answers probes until then, has tried first what it will do.",
)
@click.option(
    "--log-level",
    default="INFO",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]),
    help="How much is logged.",
)
@click.pass_context
def main(context: click.Context, /, **values: Any) -> None:  # noqa: ANN401  (click's own)
    """Read the settings; run the daemon unless a command is given."""
    configure_logging("danmd", level=values.pop("log_level"))
    allowed = values.pop("allowed_static_types")
    config = Config(
        node=NodeName(values.pop("node_name") or ""),
        paths=_host_paths(values),
        fallback=values.pop("fallback_config"),
        allowed_static_types=frozenset(allowed.split(",")) if allowed is not None else None,
        dpdk=DpdkSettings(
            kernel_driver=values.pop("dpdk_kernel_driver"),
            dpdk_driver=values.pop("dpdk_driver"),
            dpdk_tool=values.pop("dpdk_tool"),
        ),
        **values,
    )
    context.obj = config
    if context.invoked_subcommand is None:
        _require_node(config)
        tell_version("danmd", VERSION)
        configure_tracing("danmd")
        run_service(lambda stop: _serve(config, stop))


def _require_node(config: Config) -> None:
    if not config.node:
        raise click.UsageError("--node-name or DANM_NODE_NAME is required")


async def _serve(config: Config, stop: asyncio.Event) -> None:
    installation = _installation(config)
    if installation.was_uninstalled():
        # The container restarts while everything around it is being deleted.
        _tell_started(config)
        await _wait_for_the_end(config, stop)
        return
    async with await KubeClient.connect(config.kubeconfig, user_agent="danmd") as api:
        discovery = IpamDiscovery(
            api, system_namespace=config.namespace, token_file=config.ipam_token_file
        )
        ahead = Ahead(networks=Networks(api), discovery=discovery)
        async with IpamClient(discovery.endpoints, discovery.trust, discovery.token) as client:
            daemon = _daemon(config, api, client, ahead.networks)

            async def get_ready() -> None:
                await ahead.read()
                await rehearse(config, installation=installation, to_read=daemon.to_read)
                _tell_started(config)

            async with (
                ahead.followed(),
                node_lock(config.paths.lock, stop, meanwhile=get_ready) as alone,
            ):
                if alone and installation.was_uninstalled():
                    _tell_started(config)
                    await _wait_for_the_end(config, stop)
                elif alone:
                    daemon.load()
                    _tell_started(config)
                    await daemon.run(stop)


async def _wait_for_the_end(config: Config, stop: asyncio.Event) -> None:
    log.info("Uninstalled from this node; waiting for the end", node=config.node)
    await stop.wait()


def _tell_started(config: Config) -> None:
    """Let Kubernetes end the danmd before this one: this one runs, and is ready for its turn."""
    if config.started_file is not None:
        # With its number: the file outlives a container that is started again.
        config.started_file.write_text(str(os.getpid()))


def _daemon(
    config: Config, api: KubeClient, client: IpamClient, networks: Networks
) -> Daemon | IpamOnlyDaemon:
    """Put everything together that does not depend on who serves.

    Raises:
        DanmError: The node is not one for these settings.
    """
    attempts = AttemptCounter(config.paths.attempts, clock_ms=lambda: time.time_ns() // 1_000_000)
    addresses = NodeAddresses(client, node=config.node, attempts=attempts)
    kernel = KernelInterfaces(host_root=config.paths.root)
    if config.ipam_only:
        return IpamOnlyDaemon(config, api, addresses=addresses, kernel=kernel, networks=networks)
    plugins = PluginProcesses(
        host_root=config.paths.root,
        in_host_mounts=config.delegates_in_host_mounts,
        max_chains=config.max_plugins,
    )
    devices = PodResources(host_root=config.paths.root, socket=config.pod_resources_socket)
    edges = Edges(kernel=kernel, plugins=plugins, addresses=addresses, devices=devices)
    return Daemon(config, api, edges, networks=networks)


@main.command()
@click.pass_obj
def install(config: Config) -> None:
    """Copy the executables onto the host and write the CNI configuration, without the daemon."""
    installation = _installation(config)
    if config.ipam_only:
        installation.install_executables(FAKEIPAM_ALONE)
    else:
        installation.install_executables()
        installation.write_configuration()


class InUseError(click.ClickException):
    """Pods of the node use DANM's networks."""

    # deploy/uninstall tells it from all other failures.
    exit_code = 3


@main.command()
@click.option("--force", is_flag=True, help="Even if Pods of this node use DANM's networks.")
@click.pass_obj
def uninstall_node(config: Config, *, force: bool) -> None:
    """Take DANM off this node: CNI configuration first, then executables, then state.

    Refuses while Pods of this node use DANM's networks, says which, and ends with status 3. Run it
    in danmd's own container, once the DaemonSet is deleted with --cascade=orphan.
    """
    _require_node(config)
    users = asyncio.run(_users(config))
    for user in users:
        click.echo(user, err=True)
    if users and not force:
        raise InUseError(
            f"{len(users)} interfaces of Pods on {config.node} use DANM; delete these Pods first, "
            "or use --force and lose their clean-up"
        )
    _installation(config).uninstall()


def _installation(config: Config) -> Installation:
    return Installation(
        config.paths,
        fallback=config.fallback,
        cni_version=config.cni_version,
        pod_uid=config.pod_uid,
    )


async def _users(config: Config) -> list[str]:
    """Return a line for each interface of the node's Pods that has its address from DANM."""
    through_fakeipam = users_in(config.paths.allocations)
    if config.ipam_only:
        return through_fakeipam
    selector = f"{labels.NODE}={labels.label_value(config.node)}"
    async with await KubeClient.connect(config.kubeconfig, user_agent="danmd") as api:
        listed = await api.list(DANMEPS, label_selector=selector)
    endpoints = [decode_endpoint_identity(raw) for raw in listed.items]
    return through_fakeipam + [
        f"Pod {each.namespace}/{each.pod} uses DanmNet {each.network} as {each.interface}"
        for each in endpoints
        if each.node == config.node
    ]


if __name__ == "__main__":
    main()
