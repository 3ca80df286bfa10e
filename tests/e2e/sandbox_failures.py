"""What kubelet tells of sandboxes that it could not create.

`kubectl describe pod` shows the same, beside the Pod's name, its namespace and its annotations: a
word of the reason that is looked for in all of that may be one of these.
"""

from typing import Final

from tests.lab.cluster import Cluster, objects

_REASON: Final = "FailedCreatePodSandBox"


def sandbox_failures(cluster: Cluster, namespace: str, pod: str = "") -> dict[str, int]:
    """Return how often kubelet could not create a sandbox, by its words.

    Args:
        cluster: Where.
        namespace: Of the Pods.
        pod: Only this one's; by default those of all.
    """
    of_pod = f",involvedObject.name={pod}" if pod else ""
    selector = f"--field-selector=reason={_REASON}{of_pod}"
    counts: dict[str, int] = {}
    for raw in objects(cluster, "events", "-n", namespace, selector):
        counts[raw["message"]] = counts.get(raw["message"], 0) + int(raw.get("count") or 1)
    return counts
