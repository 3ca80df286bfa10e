"""What tests spare of the pages, with the reasons. The only such lists."""

from typing import Final

_PUSHED: Final = "the images are there, and pushing them needs a registry; ./test builds them"

EXEMPT: Final = (
    (
        "README.md",
        "starts a lab of its own; tests/e2e/seed_demo_e2e_test.py runs the same demo",
    ),
    ("README.md", "on the lab of the demo above"),
    ("README.md", "it runs this page"),
    ("README.md", _PUSHED),
    ("README.md", "instead of the commands above; tests/deploy compares what both install"),
    ("README.md", "instead of the rest; tests/e2e/without_danm_e2e_test.py does it"),
    ("README.md", "the plugin is in the PATH already; ./test builds it"),
    (
        "docs/how-to/write-a-page.md",
        "builds the site from the repository itself; ./test does",
    ),
    ("docs/how-to/write-a-page.md", "tests of the repository itself"),
    *[("docs/how-to/restore-etcd.md", "needs a backup of etcd")] * 4,
    *[("docs/how-to/sriov.md", "needs SR-IOV hardware")] * 3,
    *[("docs/how-to/upgrade-and-roll-back.md", "needs a registry with another release")] * 5,
    (
        "docs/how-to/upgrade-and-roll-back.md",
        "there is one revision on a cluster that was never upgraded",
    ),
    ("docs/migration.md", "cordons all nodes"),
    ("docs/migration.md", "drains a node"),
    ("docs/tutorial.md", _PUSHED),
)
"""Page and reason, one entry for each block that no test runs."""

PINNED: Final = {
    "docs/how-to/addresses-for-other-tools.md": (
        "the first address of a network that no Pod is on yet, by one request without a deadline;"
        " readers see how a reservation, a look-up and a release belong together"
    ),
}
"""Pages that show addresses which they do not ask for by themselves, with the reason."""
