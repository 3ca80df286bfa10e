"""How danmd is told where everything is, on a node whose files are all below one directory."""

from pathlib import Path


def danmd_options(node: str, home: Path) -> list[str]:
    """Return danmd's options for a node of a test, beside what the test is about.

    Args:
        node: Its name.
        home: Has ``kubeconfig`` and ``ipam-token``, and the directories ``net.d`` and ``bin`` of
            the runtime, ``image`` with the executables, ``state`` and ``run``.
    """
    return [
        f"--node-name={node}",
        f"--kubeconfig={home}/kubeconfig",
        "--host-root=/",
        f"--cni-conf-dir={home}/net.d",
        f"--cni-bin-dir={home}/bin",
        f"--executables-dir={home}/image",
        f"--state-dir={home}/state",
        f"--run-dir={home}/run",
        f"--ipam-token-file={home}/ipam-token",
    ]
