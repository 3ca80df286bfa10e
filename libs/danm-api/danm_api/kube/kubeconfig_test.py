"""Reading kubeconfig files."""

from pathlib import Path

import msgspec
import pytest

from danm_api.errors import ApiError
from danm_api.kube.kubeconfig import read_kubeconfig


async def test_a_kubeconfig_is_read(tmp_path: Path) -> None:
    """Server and token file come from a kubeconfig; the token's newline does not."""
    (tmp_path / "token").write_text("secret\n")
    kubeconfig = tmp_path / "config"
    kubeconfig.write_bytes(
        msgspec.json.encode(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:8080/"}}],
                "users": [{"name": "u", "user": {"tokenFile": "token"}}],
            }
        )
    )
    config = await read_kubeconfig(kubeconfig)
    assert config.server == "http://127.0.0.1:8080"
    assert await config.credentials.header() == "Bearer secret"
    (tmp_path / "token").write_text("replaced")
    assert await config.credentials.renew("Bearer secret")
    assert await config.credentials.header() == "Bearer replaced"


@pytest.mark.parametrize("content", [None, "", "[]", "{}", "current-context: none"])
async def test_a_broken_kubeconfig_is_named(tmp_path: Path, content: str | None) -> None:
    """A missing or broken kubeconfig is an error that names the file."""
    kubeconfig = tmp_path / "config"
    if content is not None:
        kubeconfig.write_text(content)
    with pytest.raises(ApiError, match=str(kubeconfig)):
        await read_kubeconfig(kubeconfig)
