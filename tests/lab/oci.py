"""Writes OCI image archives of uncompressed layers, without any container engine.

Uncompressed, since guests are slow at unpacking and nothing travels far.
"""

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"


def write_archive(
    archive: Path,
    *,
    name: str,
    layer: Path,
    entrypoint: Sequence[str] = (),
    command: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> None:
    """Write an image of one layer.

    Args:
        archive: The file to write (an OCI layout as a tar file).
        name: The image's full name, with tag.
        layer: An uncompressed tar file with the image's files.
        entrypoint: What a container executes.
        command: Its default arguments.
        environment: Its environment.
    """
    variables = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    variables |= environment or {}
    layer_digest, layer_size = _digest(layer)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": list(entrypoint),
                "Cmd": list(command),
                "Env": [f"{key}={value}" for key, value in variables.items()],
            },
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
            "history": [{"created_by": "danm lab"}],
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, config),
            "layers": [{"mediaType": _LAYER, "digest": layer_digest, "size": layer_size}],
        }
    )
    reference = _descriptor(_MANIFEST, manifest) | {
        "annotations": {
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name,
        }
    }
    with tarfile.open(archive, "w") as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", _json({"schemaVersion": 2, "manifests": [reference]}))
        for blob in (config, manifest):
            _add(tar, _blob_path(_descriptor("", blob)["digest"]), blob)
        tar.add(layer, _blob_path(layer_digest))


def write_layer(layer: Path, files: Mapping[str, Path]) -> None:
    """Write a layer of executable files.

    Args:
        layer: The tar file to write.
        files: Path in the image, without leading slash -> file on this machine.
    """
    with tarfile.open(layer, "w") as tar:
        for path, source in sorted(files.items()):
            information = tar.gettarinfo(source, path)
            # The same image wherever and whenever it is made.
            information.uid = information.gid = information.mtime = 0
            information.uname = information.gname = "root"
            information.mode = 0o755
            with source.open("rb") as content:
                tar.addfile(information, content)


def write_program_image(archive: Path, *, name: str, program: Path) -> None:
    """Write an image of nothing but one static program, which it executes."""
    with tempfile.TemporaryDirectory(dir=archive.parent) as directory:
        layer = Path(directory) / "layer.tar"
        write_layer(layer, {program.name: program})
        write_archive(archive, name=name, layer=layer, entrypoint=[f"/{program.name}"])


def _add(tar: tarfile.TarFile, path: str, content: bytes) -> None:
    information = tarfile.TarInfo(path)
    information.size = len(content)
    tar.addfile(information, io.BytesIO(content))


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _descriptor(media_type: str, content: bytes) -> dict[str, str | int]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _blob_path(digest: str | int) -> str:
    return f"blobs/{str(digest).replace(':', '/')}"


def _digest(path: Path) -> tuple[str, int]:
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return f"sha256:{digest}", path.stat().st_size
