"""How an image of the tests describes itself."""

from pathlib import Path

from sbom.__main__ import describe


def describe_part(root: Path) -> None:
    """Write into an image's files what ipam-svc's build writes; LICENSE lies beside them.

    Raises:
        SystemExit: What is installed may not be shipped, or does not say so.
    """
    describe(
        root,
        image="danm/ipam-svc",
        package="ipam_svc",
        version="0.1.0",
        license_text=root.parent / "LICENSE",
        linked=None,
    )
