"""Reading what a Pod is given."""

import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from danm_api.errors import ApiError
from danm_api.kube.service_account import read_service_account

ENVIRON = {"KUBERNETES_SERVICE_HOST": "192.0.2.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture()
def mounted(tmp_path: Path) -> Path:
    """A directory as the kubelet mounts it."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
    (tmp_path / "token").write_text("secret\n")
    return tmp_path


async def test_the_token_is_read_again(mounted: Path) -> None:
    """A refused token is replaced by the one that the kubelet wrote meanwhile."""
    config = read_service_account(mounted, ENVIRON)
    assert config.server == "https://192.0.2.1:443"
    assert config.ssl is not None
    assert len(config.ssl.get_ca_certs()) == 1
    assert await config.credentials.header() == "Bearer secret"
    assert not await config.credentials.renew("Bearer secret")
    (mounted / "token").write_text("replaced")
    assert await config.credentials.renew("Bearer secret")
    assert await config.credentials.header() == "Bearer replaced"
    (mounted / "token").unlink()
    with pytest.raises(ApiError, match="token"):
        await config.credentials.renew("Bearer replaced")


def test_ipv6_addresses_stand_in_brackets(mounted: Path) -> None:
    """An IPv6 cluster's server has a URL."""
    config = read_service_account(mounted, ENVIRON | {"KUBERNETES_SERVICE_HOST": "2001:db8::1"})
    assert config.server == "https://[2001:db8::1]:443"


@pytest.mark.parametrize(
    ("environ", "files", "said"),
    [
        pytest.param({}, {}, "KUBERNETES_SERVICE_HOST", id="no Pod"),
        pytest.param(ENVIRON, {"token": None}, "token", id="no token"),
        pytest.param(ENVIRON, {"token": "\n"}, "token is empty", id="empty token"),
        pytest.param(ENVIRON, {"ca.crt": None}, "ca.crt", id="no authority"),
        pytest.param(ENVIRON, {"ca.crt": "garbage"}, "ca.crt", id="broken authority"),
    ],
)
def test_what_is_missing_is_named(
    mounted: Path, environ: dict[str, str], files: dict[str, str | None], said: str
) -> None:
    """The error says what is missing, and what to do outside of a Pod."""
    for name, content in files.items():
        if content is None:
            (mounted / name).unlink()
        else:
            (mounted / name).write_text(content)
    with pytest.raises(ApiError, match=f"service account: .*{said}.*kubeconfig"):
        read_service_account(mounted, environ)


def test_a_pod_does_not_pay_for_kubeconfigs() -> None:
    """The client does not import the kubernetes package, which takes long and much memory."""
    program = "import sys, danm_api.kube.client; sys.exit('kubernetes' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)}, check=False
    )
    assert done.returncode == 0
