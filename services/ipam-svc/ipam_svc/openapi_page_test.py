"""The page of the OpenAPI document."""

import json
from html.parser import HTMLParser
from pathlib import Path

from ipam_svc.openapi import openapi_document
from ipam_svc.openapi_page import DOCUMENT_FILE, PAGE_FILE, main, page_of

_VOID = {"meta", "br"}


class _Reader(HTMLParser):
    """Notes what is there, and that every tag is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            assert name in {"href", "id", "class", "lang", "charset", "name", "content"}
            if name == "href":
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _read() -> _Reader:
    reader = _Reader()
    reader.feed(page_of(openapi_document()))
    reader.close()
    return reader


def test_page_needs_nothing_from_elsewhere() -> None:
    """It holds no script and leads nowhere but to its own parts, each of which is there once."""
    # SPEC I2
    reader = _read()
    assert reader.open == []
    assert not reader.tags & {"script", "link", "img", "iframe", "object"}
    assert len(reader.ids) == len(set(reader.ids))
    assert reader.links
    assert {link for link in reader.links if link.removeprefix("#") not in reader.ids} == set()


def test_page_tells_all() -> None:
    """Every path, parameter, field, status and example of the document can be read."""
    text = _read().text
    document = openapi_document()
    for path, methods in document["paths"].items():
        assert path in text
        for operation in methods.values():
            assert all(each["name"] in text for each in operation["parameters"])
    for schema in document["components"]["schemas"].values():
        assert all(name in text for name in schema["properties"])
    assert all(status in text for status in document["components"]["responses"])
    assert '"reason": "third floor"' in text


def test_what_a_description_holds_is_no_markup() -> None:
    """Text of the document cannot become a part of the page's structure."""
    document = openapi_document()
    document["info"]["title"] = "<script>x</script>"
    document["info"]["description"] = "<b>&"
    page = page_of(document)
    assert "<script>" not in page
    assert "<b>" not in page


def test_both_forms_are_written(tmp_path: Path) -> None:
    """The program writes what is served."""
    main([str(tmp_path)])
    assert json.loads((tmp_path / DOCUMENT_FILE).read_text()) == openapi_document()
    assert (tmp_path / PAGE_FILE).read_text() == page_of(openapi_document())
