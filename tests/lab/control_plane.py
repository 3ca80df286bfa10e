"""The control plane of a lab: etcd, API server, controllers and scheduler in its namespace."""

import string
from pathlib import Path
from typing import Final

from tests.lab.apiserver import ApiServer, Place, Trust
from tests.lab.binaries import Binaries
from tests.lab.images import COREDNS_IMAGE
from tests.lab.namespace import Namespace
from tests.lab.pki import write_kubeconfig
from tests.lab.topology import (
    API_PORT,
    CLUSTER_DOMAIN,
    CONTROL_ADDRESS,
    DNS_ADDRESS,
    ETCD_PEER_PORT,
    ETCD_PORT,
    POD_CIDR,
)

_MANIFESTS: Final = Path(__file__).parent / "manifest"


def dns_manifest() -> str:
    """Return the objects of the cluster's DNS."""
    template = string.Template((_MANIFESTS / "coredns.yaml").read_text())
    return template.substitute(image=COREDNS_IMAGE, address=DNS_ADDRESS, domain=CLUSTER_DOMAIN)


def place_in(namespace: Namespace) -> Place:
    """Return where a lab's API server runs."""
    return Place(
        address=CONTROL_ADDRESS,
        port=API_PORT,
        etcd_port=ETCD_PORT,
        etcd_peer_port=ETCD_PEER_PORT,
        start=namespace.start,
        connect=namespace.connect,
        for_cluster=True,
    )


def start_control_plane(
    namespace: Namespace, directory: Path, *, binaries: Binaries, trust: Trust
) -> ApiServer:
    """Start the control plane; its API server is ready when this returns.

    Raises:
        StartError: The API server did not become ready.
    """
    server = ApiServer.start_at(place_in(namespace), directory, binaries=binaries, trust=trust)
    kubernetes = binaries.directory(binaries.release.rest)
    controllers = _kubeconfig("kube-controller-manager", directory, server)
    scheduler = _kubeconfig("kube-scheduler", directory, server)
    namespace.start(
        "kube-controller-manager",
        [
            str(kubernetes / "kube-controller-manager"),
            f"--kubeconfig={controllers}",
            f"--authentication-kubeconfig={controllers}",
            f"--authorization-kubeconfig={controllers}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={trust.service_accounts.key}",
            f"--root-ca-file={trust.authority.certificate}",
            f"--cluster-signing-cert-file={trust.authority.certificate}",
            f"--cluster-signing-key-file={trust.authority.key}",
            f"--cluster-cidr={POD_CIDR}",
            # Each node's subnet is fixed, so that its name tells its addresses.
            "--allocate-node-cidrs=false",
        ],
        log=directory / "log" / "kube-controller-manager.log",
    )
    namespace.start(
        "kube-scheduler",
        [
            str(kubernetes / "kube-scheduler"),
            f"--kubeconfig={scheduler}",
            f"--authentication-kubeconfig={scheduler}",
            f"--authorization-kubeconfig={scheduler}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ],
        log=directory / "log" / "kube-scheduler.log",
    )
    return server


def _kubeconfig(component: str, directory: Path, server: ApiServer) -> Path:
    return write_kubeconfig(
        directory / f"{component}.kubeconfig",
        server=server.url,
        authority=server.authority,
        credential=server.trust.authority.client(component, f"system:{component}"),
    )
