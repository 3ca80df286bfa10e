"""docs/metrics.md is what the parts define."""

from metrics_page.__main__ import PAGE
from metrics_page.inventory import PROCESSES, MetricInfo, Part, parts, registered
from metrics_page.page import page

HINT = "write it anew: PYTHONPATH=build-support python -m metrics_page"


def test_the_page_is_up_to_date() -> None:
    """What the repository shows is what the parts define now."""
    assert PAGE.read_text() == page(parts()), HINT


def test_nothing_is_left_out() -> None:
    """Whatever a process registers, in whichever module, is on the page."""
    assert PROCESSES
    shown = {each.name for part in parts() for each in part.metrics}
    # The addresses of networks are registered while a replica leads.
    own = {"danm_ipam_network_addresses", "danm_ipam_network_pool_size"}
    assert shown - own == registered()


def test_a_metric_is_one_line() -> None:
    """With all that one needs to write a query."""
    metric = MetricInfo(name="danm_w_seconds", type="histogram", labels=("step",), text="W | x")
    text = page([Part(title="Some", where="Here.", metrics=(metric,))])
    assert "| `danm_w_seconds` | histogram | `step` | seconds | W \\| x |\n" in text
    assert "## Some\n\nHere.\n" in text
