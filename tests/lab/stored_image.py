"""What an image consists of, in a store of containerd's form, and archives without its bulk."""

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_INDEX_TYPES: Final = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer, as snapshots are named.

    Attributes:
        chain: Names the layer together with all below it.
        parent: The chain below; empty for the lowest layer.
    """

    chain: str
    parent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image of a store.

    Attributes:
        reference: Its descriptor, with its name as annotation.
        documents: Digests of its documents (manifest, configuration, ...), which are small.
        layers: From the lowest to the topmost.
    """

    reference: dict[str, Any]
    documents: tuple[str, ...]
    layers: tuple[Layer, ...]


def blob_path(root: Path, digest: str) -> Path:
    """Return where a store keeps the content of this digest."""
    content = root / "io.containerd.content.v1.content"
    return content / "blobs" / Path(*digest.split(":"))


def read_image(root: Path, *, name: str, digest: str) -> StoredImage:
    """Read what an image consists of.

    Args:
        root: The store's directory.
        name: The image's name.
        digest: Of its manifest or index.
    """
    documents = [digest]
    document = json.loads(blob_path(root, digest).read_bytes())
    media_type = document["mediaType"]
    reference = {
        "mediaType": media_type,
        "digest": digest,
        "size": blob_path(root, digest).stat().st_size,
        "annotations": {"io.containerd.image.name": name},
    }
    manifest = document
    if media_type in _INDEX_TYPES:
        documents.append(document["manifests"][0]["digest"])
        manifest = json.loads(blob_path(root, documents[-1]).read_bytes())
    documents.append(manifest["config"]["digest"])
    configuration = json.loads(blob_path(root, documents[-1]).read_bytes())
    return StoredImage(
        reference=reference,
        documents=tuple(documents),
        layers=chain_layers(configuration["rootfs"]["diff_ids"]),
    )


def chain_layers(diff_ids: Sequence[str]) -> tuple[Layer, ...]:
    """Return layers by their contents' digests, chained as the OCI image specification says."""
    layers: list[Layer] = []
    for diff_id in diff_ids:
        parent = layers[-1].chain if layers else ""
        joined = f"{parent} {diff_id}".encode()
        chain = f"sha256:{hashlib.sha256(joined).hexdigest()}" if parent else diff_id
        layers.append(Layer(chain=chain, parent=parent))
    return tuple(layers)


def write_documents_archive(archive: Path, root: Path, images: Sequence[StoredImage]) -> None:
    """Write an OCI archive of images without their layers.

    It is good for whoever has the layers' snapshots already.
    """
    index = {"schemaVersion": 2, "manifests": [image.reference for image in images]}
    with tarfile.open(archive, "w") as tar:
        for name, document in (
            ("oci-layout", {"imageLayoutVersion": "1.0.0"}),
            ("index.json", index),
        ):
            content = json.dumps(document).encode()
            information = tarfile.TarInfo(name)
            information.size = len(content)
            tar.addfile(information, io.BytesIO(content))
        for digest in sorted({digest for image in images for digest in image.documents}):
            tar.add(blob_path(root, digest), f"blobs/{digest.replace(':', '/')}")
