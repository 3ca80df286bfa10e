"""Sphinx' settings. The site's source is the repository: pages link to each other as they do there.

Pages are those of docs/ and the READMEs; docs/index.md has their order. build-support/docs calls
Sphinx with every warning an error, so a link that leads nowhere and a page that is nowhere in the
order end it.
"""

import sys
from pathlib import Path
from typing import Any, Final

_REPOSITORY: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_REPOSITORY / "build-support"))

from docs_site.links import for_site  # noqa: E402  (Sphinx runs this file as it is)

project = "DANM"
extensions = ["myst_parser"]
root_doc = "docs/index"
source_suffix = {".md": "markdown"}
include_patterns = [
    "CONTRIBUTING.md",
    "README.md",
    "charts/*/README.md",
    "components/*/README.md",
    "deploy/*/README.md",
    "docs/**.md",
    "libs/*/README.md",
    "services/*/README.md",
    "tests/lab/README.md",
]
# Links to headings of other pages: #labels.
myst_heading_anchors = 4
nitpicky = True
# A block without a language is a drawing or an output.
highlight_language = "none"
html_theme = "furo"
html_title = "DANM"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False


def _read(app: Any, name: str, source: list[str]) -> None:  # noqa: ANN401  (of Sphinx)
    page = Path(app.env.doc2path(name))
    source[0] = for_site(source[0], page=page)


def setup(app: Any) -> dict[str, bool]:  # noqa: ANN401  (of Sphinx)
    """Have links to directories replaced."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}
