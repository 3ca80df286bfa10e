"""Image archives."""

import hashlib
import json
import tarfile
from pathlib import Path

from tests.lab.oci import write_program_image


def test_an_archive_names_each_blob_by_its_content(tmp_path: Path) -> None:
    """Whatever refers to a blob says its digest, and the image has the asked name."""
    program = tmp_path / "pause"
    program.write_bytes(b"\x7fELF")

    write_program_image(tmp_path / "image.tar", name="localhost/lab/pause:1", program=program)

    with tarfile.open(tmp_path / "image.tar") as tar:
        blobs = {}
        for member in tar.getmembers():
            stream = tar.extractfile(member)
            assert stream is not None
            blobs[member.name] = stream.read()
    for name, content in blobs.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"
    reference = json.loads(blobs["index.json"])["manifests"][0]
    manifest = json.loads(blobs[f"blobs/{reference['digest'].replace(':', '/')}"])
    config = json.loads(blobs[f"blobs/{manifest['config']['digest'].replace(':', '/')}"])
    assert reference["annotations"]["io.containerd.image.name"] == "localhost/lab/pause:1"
    assert config["config"]["Entrypoint"] == ["/pause"]
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
