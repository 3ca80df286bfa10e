"""A real etcd and Kubernetes API server, for tests and as the core of the lab.

    with ApiServer.start(tmp_path) as server:
        ...  # server.kubeconfig, server.url, server.authority, server.token

Nothing else runs: no controllers (objects are not garbage collected, no service account appears
by itself), no nodes. Everything ends with this process, however it ends.
"""

import http.client
import random
import secrets
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from tests.lab.binaries import ETCD, Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.errors import StartError
from tests.lab.pki import Authority, Credential, write_kubeconfig
from tests.lab.process import Background, Starter, start_leashed, wait_until
from tests.lab.progress import Progress

LOOPBACK: Final = "127.0.0.1"
# A range for benchmarks (RFC 2544): nobody's real addresses.
SERVICE_CIDR: Final = "198.19.0.0/16"
FIRST_SERVICE_ADDRESS: Final = "198.19.0.1"
ISSUER: Final = "https://kubernetes.default.svc.cluster.local"

_SERVER_NAMES: Final = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
# A program that ends is noticed at once; on a machine that starves both need minutes.
_READY_TIMEOUT_S: Final = 300.0
_PROBE_TIMEOUT_S: Final = 2.0
# Somebody else may take a free port between the moment that it is found and the bind.
_PORT_TRIES: Final = 3
# Below those of outgoing connections (usually from 32768 on), above those of well-known services.
_PORTS: Final = range(12_000, 32_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an API server runs and how it is started.

    Attributes:
        address: The address that it binds and is reached at.
        port: Of the API server.
        etcd_port: Of etcd, on the loopback interface.
        etcd_peer_port: Of etcd for other members; there are none.
        start: How programs are started.
        connect: Opens a TCP connection to the place.
        for_cluster: Whether nodes and controllers will join. Without them some admission
            plugins and the `kubernetes` Service would only be in the way.
        fsync: Whether etcd waits for the disk, as it does where data must survive a power cut.
    """

    address: str
    port: int
    etcd_port: int
    etcd_peer_port: int
    start: Starter
    connect: Callable[[str, int], socket.socket]
    for_cluster: bool
    fsync: bool = False

    @classmethod
    def here(cls, address: str, *, fsync: bool = False) -> "Place":
        """Return a place of this machine's own, on free ports, for no cluster."""
        port, etcd_port, etcd_peer_port = free_ports(3)
        return cls(
            address=address,
            port=port,
            etcd_port=etcd_port,
            etcd_peer_port=etcd_peer_port,
            start=start_leashed,
            connect=lambda host, port: socket.create_connection((host, port), _PROBE_TIMEOUT_S),
            for_cluster=False,
            fsync=fsync,
        )

    @property
    def url(self) -> str:
        """The API server's URL."""
        return f"https://{self.address}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The keys of one API server."""

    authority: Authority
    serving: Credential
    kubelet_client: Credential
    service_accounts: Credential
    token: str
    token_file: Path

    @classmethod
    def create(cls, directory: Path, address: str) -> Self:
        """Make keys and certificates for a server that is reached at this address."""
        authority = Authority(directory)
        addresses = sorted({LOOPBACK, address, FIRST_SERVICE_ADDRESS})
        token = secrets.token_hex(16)
        token_file = directory / "tokens.csv"
        token_file.touch(mode=0o600)
        token_file.write_text(f'{token},admin,admin,"system:masters"\n')
        return cls(
            authority=authority,
            serving=authority.server("kube-apiserver", [*addresses, *_SERVER_NAMES]),
            kubelet_client=authority.client("apiserver-kubelet", "apiserver", "system:masters"),
            service_accounts=authority.signing_key("service-accounts"),
            token=token,
            token_file=token_file,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServer:
    """A running API server.

    Attributes:
        url: For example https://127.0.0.1:34567.
        etcd_url: Where etcd answers, /metrics among others.
        kubeconfig: File for an administrator (group system:masters).
        authority: File of the certificate that the server's is checked against.
        token: Bearer token of an administrator.
        trust: All its keys.
    """

    url: str
    etcd_url: str
    kubeconfig: Path
    authority: Path
    token: str
    trust: Trust
    etcd: Background
    server: Background

    @classmethod
    def start(
        cls, directory: Path, *, binaries: Binaries | None = None, fsync: bool = False
    ) -> Self:
        """Start one on free ports of the loopback interface; ready when this returns (4 s).

        Args:
            directory: An existing directory for its data, keys and logs.
            binaries: Where the programs come from; by default the usual cache, which is filled
                if need be (minutes, once).
            fsync: Whether etcd waits for the disk.

        Raises:
            StartError: It did not become ready.
            BuildError: The programs could not be built.
        """
        if binaries is None:
            progress = Progress()
            binaries = Binaries(Cache(directory=default_cache_directory()), progress)
        for attempt in range(1, _PORT_TRIES + 1):
            try:
                return cls.start_at(Place.here(LOOPBACK, fsync=fsync), directory, binaries=binaries)
            except StartError as error:
                if attempt == _PORT_TRIES or "address already in use" not in str(error):
                    raise
        raise AssertionError

    @classmethod
    def start_at(
        cls, place: Place, directory: Path, *, binaries: Binaries, trust: Trust | None = None
    ) -> Self:
        """Start one at a given place.

        Args:
            place: Where and how.
            directory: For its data, keys and logs.
            binaries: Where the programs come from.
            trust: Its keys; made by default.

        Raises:
            StartError: It did not become ready; nothing of it is left running.
        """
        trust = trust or Trust.create(directory / "pki", place.address)
        url = place.url
        kubeconfig = write_kubeconfig(
            directory / "admin.kubeconfig",
            server=url,
            authority=trust.authority.certificate,
            credential=trust.authority.client("admin", "kubernetes-admin", "system:masters"),
        )
        etcd = start_etcd(place, directory, binaries)
        server = start_server(place, directory, binaries, trust)
        context = ssl.create_default_context(cafile=str(trust.authority.certificate))
        running = cls(
            url=url,
            etcd_url=f"http://{LOOPBACK}:{place.etcd_port}",
            kubeconfig=kubeconfig,
            authority=trust.authority.certificate,
            token=trust.token,
            trust=trust,
            etcd=etcd,
            server=server,
        )
        try:
            wait_until(
                lambda: is_ready(url, trust.token, context, place.connect),
                what="The API server is ready",
                timeout_s=_READY_TIMEOUT_S,
                alive=(etcd, server),
            )
        except BaseException:
            running.stop()
            raise
        return running

    def stop(self) -> None:
        """End the programs. Safe to call twice."""
        self.server.stop()
        self.etcd.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def start_etcd(place: Place, directory: Path, binaries: Binaries) -> Background:
    """Start etcd alone, on the data that is there; its readiness is not waited for."""
    command = _etcd_command(place, directory, binaries)
    return place.start("etcd", command, log=_log(directory, "etcd"))


def start_server(place: Place, directory: Path, binaries: Binaries, trust: Trust) -> Background:
    """Start an API server alone; its readiness is not waited for."""
    command = _server_command(place, directory, binaries, trust)
    return place.start("kube-apiserver", command, log=_log(directory, "kube-apiserver"))


def _log(directory: Path, program: str) -> Path:
    logs = directory / "log"
    logs.mkdir(parents=True, exist_ok=True)
    return logs / f"{program}.log"


def free_ports(count: int) -> list[int]:
    """Return TCP ports of the loopback interface that nobody uses at the moment.

    No outgoing connection gets one of them while its program is being restarted.
    """
    # A seed that several test runs share must not lead all of them to the same ports.
    chance = random.SystemRandom()
    found: list[int] = []
    with ExitStack() as stack:
        for port in chance.sample(_PORTS, len(_PORTS)):
            attempt = stack.enter_context(socket.socket())
            try:
                attempt.bind((LOOPBACK, port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise StartError("no TCP port of the loopback interface is free")


def is_ready(
    url: str,
    token: str,
    context: ssl.SSLContext,
    connect: Callable[[str, int], socket.socket],
) -> bool:
    """Tell whether an API server says that it is ready; no answer means that it is not."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    try:
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=context)
        plain = connect(parts.hostname, parts.port)
        with context.wrap_socket(plain, server_hostname=parts.hostname) as connection.sock:
            connection.request("GET", "/readyz", headers={"Authorization": f"Bearer {token}"})
            return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False


def _etcd_command(place: Place, directory: Path, binaries: Binaries) -> list[str]:
    client = f"http://{LOOPBACK}:{place.etcd_port}"
    peer = f"http://{LOOPBACK}:{place.etcd_peer_port}"
    return [
        binaries.program(ETCD, "etcd"),
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--log-level=warn",
        # A lab's data need not survive a power cut, and tests should not wait for the disk.
        *(() if place.fsync else ("--unsafe-no-fsync",)),
    ]


def _server_command(place: Place, directory: Path, binaries: Binaries, trust: Trust) -> list[str]:
    command = [
        binaries.program(binaries.release.api_server, "kube-apiserver"),
        f"--etcd-servers=http://{LOOPBACK}:{place.etcd_port}",
        f"--bind-address={place.address}",
        f"--secure-port={place.port}",
        f"--cert-dir={directory / 'pki'}",
        f"--tls-cert-file={trust.serving.certificate}",
        f"--tls-private-key-file={trust.serving.key}",
        f"--client-ca-file={trust.authority.certificate}",
        f"--token-auth-file={trust.token_file}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={trust.service_accounts.certificate}",
        f"--service-account-signing-key-file={trust.service_accounts.key}",
        f"--kubelet-certificate-authority={trust.authority.certificate}",
        f"--kubelet-client-certificate={trust.kubelet_client.certificate}",
        f"--kubelet-client-key={trust.kubelet_client.key}",
        "--kubelet-preferred-address-types=InternalIP",
    ]
    if place.for_cluster:
        return [
            *command,
            f"--advertise-address={place.address}",
            "--enable-admission-plugins=NodeRestriction",
            "--enable-bootstrap-token-auth=false",
        ]
    return [
        *command,
        # Loopback addresses cannot be advertised, so nothing is.
        "--advertise-address=198.18.0.1",
        "--endpoint-reconciler-type=none",
        # No controller makes the service account that every Pod would need.
        "--disable-admission-plugins=ServiceAccount",
    ]
