"""How to reach the API server by a kubeconfig file, as kubernetes.aio reads it.

Tokens, token files, client certificates and exec plugins are supported.
"""

import ssl
from pathlib import Path
from typing import Final

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_kube_config
from yaml import YAMLError

from danm_api.errors import ApiError
from danm_api.kube.config import Credentials, KubeConfig

# A kubeconfig may start a program for each reading.
_RENEW_S: Final = 300.0


async def read_kubeconfig(path: Path, *, context: str | None = None) -> KubeConfig:
    """Read a kubeconfig.

    Args:
        path: The file, or several as in ``KUBECONFIG``, separated by colons; the first one wins.
        context: Which of its contexts; None stands for its current one.

    Raises:
        ApiError: It is missing or broken, or has no such context.
    """

    async def read() -> str | None:
        fresh, _ = await _load(path, context)
        token: str | None = fresh.api_key.get("BearerToken")
        # A token file may end in a newline, which no header may hold.
        return token.strip() if token else None

    configuration, namespace = await _load(path, context)
    server = str(configuration.host).rstrip("/")
    try:
        tls = _ssl_context(configuration) if server.startswith("https:") else None
    except (OSError, ValueError) as error:
        # TLS's own errors are of the first kind, and say nothing of a file.
        raise _unusable(path, f"the certificates or the key in it: {error}") from error
    return KubeConfig(
        server=server,
        ssl=tls,
        credentials=Credentials(read, renew_after_s=_RENEW_S),
        server_hostname=configuration.tls_server_name or None,
        proxy=configuration.proxy or None,
        namespace=namespace,
    )


async def _load(path: Path, context: str | None) -> tuple[Configuration, str | None]:
    """Return the configuration of a context and the namespace that it names."""
    configuration = Configuration()
    try:
        loader = await load_kube_config(
            str(path),
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
        namespace: str | None = loader.current_context["context"].get("namespace")
    except (ConfigException, OSError, ValueError, YAMLError) as error:
        raise _unusable(path, error) from error
    except (AttributeError, LookupError, TypeError) as error:
        # How the package reports a file without the expected structure.
        raise _unusable(path, f"{type(error).__name__}: {error}") from error
    return configuration, namespace or None


def _unusable(path: Path, why: object) -> ApiError:
    return ApiError(f"no usable API server configuration in {path}: {why}", status=0)


def _ssl_context(configuration: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file or None)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
