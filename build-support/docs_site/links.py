"""Links of pages to directories, which a site does not have. Pure, but for looking."""

import re
from pathlib import Path
from typing import Final

_LINK: Final = re.compile(r"\[(?P<text>[^\]\[]+)\]\((?P<target>[^)\s#]+)\)")
# In this order: what a directory says of itself.
_OWN_PAGES: Final = ("README.md", "index.md")


def for_site(text: str, *, page: Path) -> str:
    """Return a page whose links to directories lead to their own pages, or are words alone.

    A link to what is not there stays as it is: Sphinx tells of it.

    Args:
        text: The page, in Markdown.
        page: Its file; links are relative to it.
    """

    def replaced(link: re.Match[str]) -> str:
        directory = page.parent / link["target"]
        if not directory.is_dir():
            return link[0]
        for name in _OWN_PAGES:
            if (directory / name).exists():
                return f"[{link['text']}]({link['target'].rstrip('/')}/{name})"
        return link["text"]

    return _LINK.sub(replaced, text)
