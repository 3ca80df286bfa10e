"""The OpenAPI document as a page to read: one HTML file without scripts or anything from elsewhere.

``python -m ipam_svc.openapi_page DIRECTORY`` writes both, as ``docs/ipam-api`` has them.
"""

import json
import re
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, Final

from ipam_svc.openapi import openapi_document

DOCUMENT_FILE: Final = "openapi.json"
PAGE_FILE: Final = "openapi.html"

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1rem;
  color: #1b1f24; background: #fff }
h1, h2, h3 { line-height: 1.2; margin-top: 2rem }
h2 { border-top: 1px solid #d0d7de; padding-top: 1.5rem }
code, pre { font: 14px/1.4 ui-monospace, monospace }
pre { background: #f6f8fa; border-radius: 6px; overflow-x: auto; padding: .75rem }
table { border-collapse: collapse; width: 100% }
td, th { border-bottom: 1px solid #d0d7de; padding: .3rem .6rem .3rem 0; text-align: left;
  vertical-align: top }
.method { background: #0b5cad; border-radius: 4px; color: #fff; padding: .1rem .4rem }
.must { color: #a40e26 }
nav ul { columns: 2; padding-left: 1.2rem }
@media (prefers-color-scheme: dark) { body { background: #0d1117; color: #e6edf3 }
  pre { background: #161b22 } td, th, h2 { border-color: #30363d } a { color: #79b8ff } }
"""


def page_of(document: dict[str, Any]) -> str:
    """Return the page of a document."""
    return "\n".join(_page(document)) + "\n"


def _page(document: dict[str, Any]) -> Iterator[str]:
    info = document["info"]
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(info['title'])}</title>\n<style>{_STYLE}</style>\n</head>\n<body>"
    yield f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>"
    yield f"<p><strong>{escape(info['summary'])}</strong></p>"
    for paragraph in info["description"].strip().split("\n\n"):
        yield f"<p>{_text(paragraph)}</p>"
    for scheme in document["components"]["securitySchemes"].values():
        yield f"<p><code>Authorization: Bearer TOKEN</code> {_text(scheme['description'])}</p>"
    yield "<nav>\n<ul>"
    for method, path, operation in operations:
        where = f"{method.upper()} {path}"
        yield f'<li><a href="#{operation["operationId"]}">{escape(where)}</a></li>'
    yield '<li><a href="#refusals">Refusals</a></li>\n<li><a href="#schemas">Schemas</a></li>'
    yield "</ul>\n</nav>"
    for method, path, operation in operations:
        yield from _operation(method, path, operation)
    yield '<h2 id="refusals">Refusals</h2>'
    yield "<p>Every refusal is a problem document (RFC 9457), "
    yield f"{_link('Problem')}.</p>\n<table>"
    for status, response in document["components"]["responses"].items():
        names = response.get("headers", {})
        headers = "".join(f" Header: <code>{escape(name)}</code>." for name in names)
        yield f'<tr id="s{status}"><td>{status}</td><td>{_text(response["description"])}{headers}'
        yield "</td></tr>"
    yield '</table>\n<h2 id="schemas">Schemas</h2>'
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f'<h3 id="{escape(name)}">{escape(name)}</h3>'
        yield f"<p>{_text(schema['description'])}</p>"
        yield from _fields(schema)
    yield "</body>\n</html>"


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f'<h2 id="{operation["operationId"]}">{_text(operation["summary"])}</h2>'
    yield f'<p><span class="method">{method.upper()}</span> <code>{escape(path)}</code></p>'
    yield f"<p>{_text(operation['description'])}</p>"
    if operation["parameters"]:
        yield "<table>\n<tr><th>parameter</th><th>in</th><th>type</th><th></th></tr>"
        for each in operation["parameters"]:
            yield _row(
                each["name"],
                each["in"],
                _type(each["schema"]),
                each["description"],
                must=each["required"],
            )
        yield "</table>"
    if "requestBody" in operation:
        (content,) = operation["requestBody"]["content"].values()
        yield f"<p>Body: {_type(content['schema'])}</p>"
        yield from _examples(content)
    for status, response in operation["responses"].items():
        if "$ref" in response:
            continue
        kinds = [
            _type(content["schema"]) if content["schema"] else f"<code>{escape(media)}</code>"
            for media, content in response.get("content", {}).items()
        ]
        yield f"<p>{status}: {_text(response['description'])} {''.join(kinds)}</p>"
        for content in response.get("content", {}).values():
            yield from _examples(content)
    refusals = [status for status, each in operation["responses"].items() if "$ref" in each]
    links = ", ".join(f'<a href="#s{status}">{status}</a>' for status in refusals)
    yield f"<p>Refused with {links}.</p>"


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    yield "<table>\n<tr><th>field</th><th>type</th><th></th></tr>"
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        yield _row(name, _type(field), field.get("description", ""), must=name in required)
    yield "</table>"


def _row(name: str, *cells: str, must: bool) -> str:
    mark = ' <span class="must">required</span>' if must else ""
    *plain, description = cells
    shown = "".join(f"<td>{cell}</td>" for cell in (*plain, _text(description)))
    return f"<tr><td><code>{escape(name)}</code>{mark}</td>{shown}</tr>"


def _type(schema: dict[str, Any]) -> str:
    """Return a type in words, with links to schemas."""
    if "$ref" in schema:
        return _link(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(json.dumps(each))}</code>" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    words = [str(schema.get("format") or schema.get("type", "anything"))]
    for key, word in (("minimum", "from"), ("maximum", "to"), ("exclusiveMinimum", "above")):
        if key in schema:
            words.append(f"{word} {schema[key]}")
    if "maxLength" in schema:
        words.append(f"of at most {schema['maxLength']} characters")
    if schema.get("default"):
        words.append(f"(usually {json.dumps(schema['default'])})")
    return escape(" ".join(words))


def _examples(content: dict[str, Any]) -> Iterator[str]:
    for name, example in content.get("examples", {}).items():
        yield f"<p>Example ({escape(name)}):</p>"
        yield f"<pre>{escape(json.dumps(example['value'], indent=2))}</pre>"


def _link(name: str) -> str:
    return f'<a href="#{escape(name)}">{escape(name)}</a>'


def _text(text: str) -> str:
    """Return prose with `code` and *stress* marked."""
    marked = re.sub(r"``?([^`]+)``?", r"<code>\1</code>", escape(text, quote=False))
    return re.sub(r"\*(\w+)\*", r"<em>\1</em>", marked)


def main(arguments: list[str]) -> None:
    """Write the document and its page into a directory."""
    directory = Path(arguments[0] if arguments else "docs/ipam-api")
    document = openapi_document()
    (directory / DOCUMENT_FILE).write_text(json.dumps(document, indent=2) + "\n")
    (directory / PAGE_FILE).write_text(page_of(document))


if __name__ == "__main__":
    main(sys.argv[1:])
