"""How a Pod reaches its API server: by what the kubelet gave it.

The kubernetes package can read this too, but importing it takes as long as all the rest of a
service and 20 MB; docs/decisions/0007-start-up.md has the figures.
"""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from danm_api.errors import ApiError
from danm_api.kube.config import Credentials, KubeConfig

DIRECTORY: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# A mounted token is replaced when 80 % of its life of an hour are over, and the old one stays
# valid.
_RENEW_S: Final = 60.0


def read_service_account(
    directory: Path = DIRECTORY, environ: Mapping[str, str] = os.environ
) -> KubeConfig:
    """Return how to reach the API server from within a Pod.

    Args:
        directory: Where the service account's token and the API server's authority are mounted.
        environ: Has the API server's address.

    Raises:
        ApiError: This is no Pod, or one without a usable service account.
    """

    async def header() -> str:
        return f"Bearer {_token(directory)}"

    host = environ.get("KUBERNETES_SERVICE_HOST", "")
    port = environ.get("KUBERNETES_SERVICE_PORT", "")
    if not (host and port):
        raise _unusable("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
    _token(directory)
    authority = directory / "ca.crt"
    try:
        context = ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise _unusable(f"{authority}: {error}") from error
    return KubeConfig(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        ssl=context,
        credentials=Credentials(header, renew_after_s=_RENEW_S),
    )


def _token(directory: Path) -> str:
    path = directory / "token"
    try:
        token = path.read_text().strip()
    except (OSError, ValueError) as error:
        raise _unusable(f"{path}: {error}") from error
    if not token:
        raise _unusable(f"{path} is empty")
    return token


def _unusable(reason: str) -> ApiError:
    return ApiError(
        f"no usable API server configuration in the Pod's service account: {reason}; "
        "outside of a Pod name a kubeconfig",
        status=0,
    )
