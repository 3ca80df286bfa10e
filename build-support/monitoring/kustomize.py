"""A kustomization that wraps dashboards and rules as ConfigMaps."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, Final

from danm_api.names import SYSTEM_NAMESPACE

# The label by which the usual side-car of Grafana finds dashboards.
_DASHBOARD_LABEL: Final = "grafana_dashboard"


def kustomization(
    dashboards: Iterable[PurePosixPath], rules: Iterable[PurePosixPath]
) -> dict[str, Any]:
    """Return the kustomization for these files."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": SYSTEM_NAMESPACE,
        # Whoever mounts them names them.
        "generatorOptions": {"disableNameSuffixHash": True},
        "configMapGenerator": [
            *(
                {
                    "name": f"danm-dashboard-{path.stem}",
                    "files": [str(path)],
                    "options": {"labels": {_DASHBOARD_LABEL: "1"}},
                }
                for path in sorted(dashboards)
            ),
            {"name": "danm-alerts", "files": [str(path) for path in sorted(rules)]},
        ],
    }
