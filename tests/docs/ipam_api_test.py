"""The description of ipam-svc's API that the repository shows."""

import json
from pathlib import Path
from typing import Final

from ipam_svc.openapi import openapi_document
from ipam_svc.openapi_page import DOCUMENT_FILE, PAGE_FILE, page_of

DIRECTORY: Final = Path(__file__).resolve().parents[2] / "docs" / "ipam-api"
HINT: Final = "write it anew: python -m ipam_svc.openapi_page docs/ipam-api"


def test_shown_description_is_the_served_one() -> None:
    """What docs/ipam-api shows is what a replica of this source serves."""
    # SPEC I2
    document = openapi_document()
    assert json.loads((DIRECTORY / DOCUMENT_FILE).read_text()) == document, HINT
    assert (DIRECTORY / PAGE_FILE).read_text() == page_of(document), HINT
