"""Runs a service as in a Pod: its service account is where the kubelet puts it.

So its memory and rights are those of a Pod, and nothing of the machine's own /run is touched.
"""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.lab.apiserver import ApiServer

_ACCOUNT: Final = "/run/secrets/kubernetes.io/serviceaccount"


def account_directory(directory: Path, server: ApiServer, token: str) -> Path:
    """Write what the kubelet would mount for a service account, and return where it is."""
    account = directory / "serviceaccount"
    account.mkdir(exist_ok=True)
    (account / "ca.crt").write_bytes(server.authority.read_bytes())
    (account / "token").touch(mode=0o600)
    (account / "token").write_text(token)
    return account


def in_pod_place(command: Sequence[str], account: Path) -> list[str]:
    """Return a command that runs ``command`` in a mount namespace with a service account."""
    script = (
        f"mount -t tmpfs none /run && mkdir -p {_ACCOUNT}"
        f" && mount --bind {shlex.quote(str(account))} {_ACCOUNT} && exec {shlex.join(command)}"
    )
    return ["unshare", "--mount", "--propagation=private", "--", "/bin/sh", "-c", script]


def pod_environment(server: ApiServer) -> Mapping[str, str]:
    """Return the environment by which a Pod finds its API server."""
    parts = urlsplit(server.url)
    return dict(
        os.environ,
        PYTHONPATH=os.pathsep.join(path for path in sys.path if path),
        KUBERNETES_SERVICE_HOST=str(parts.hostname),
        KUBERNETES_SERVICE_PORT=str(parts.port),
    )
