"""What is promised of every dashboard; tests/monitoring asks Prometheus their queries."""

from collections import Counter

import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel
from grafana_foundation_sdk.models.prometheus import Dataquery

from monitoring.dashboards import dashboards

_EACH = [pytest.param(name, board, id=name) for name, board in dashboards().items()]
_COLUMNS = 24


def _panels(board: Dashboard) -> list[Panel]:
    return [panel for panel in board.panels or [] if isinstance(panel, Panel)]


@pytest.mark.parametrize(("name", "board"), _EACH)
def test_a_dashboard_has_an_address_of_its_own(name: str, board: Dashboard) -> None:
    """Links to it go on working when it is written anew."""
    assert board.uid == f"danm-{name}"
    assert board.title is not None
    assert board.title.startswith("DANM / ")


@pytest.mark.parametrize(("name", "board"), _EACH)
def test_every_panel_explains_itself_and_asks(name: str, board: Dashboard) -> None:
    """Title, text, and queries that have their Prometheus from the variable."""
    del name
    panels = _panels(board)
    assert panels
    titles = Counter(panel.title for panel in panels)
    assert [title for title, count in titles.items() if count > 1 or not title] == []
    for panel in panels:
        assert panel.description, panel.title
        assert panel.targets, panel.title
        for target in panel.targets:
            assert isinstance(target, Dataquery)
            assert target.datasource is not None
            assert target.datasource.uid == "${datasource}"


@pytest.mark.parametrize(("name", "board"), _EACH)
def test_panels_do_not_overlap(name: str, board: Dashboard) -> None:
    """Each has a place of its own within the width."""
    del name
    taken: set[tuple[int, int]] = set()
    for panel in _panels(board):
        place = panel.grid_pos
        assert place is not None
        assert place.x + place.w <= _COLUMNS
        cells = {
            (x, y)
            for x in range(place.x, place.x + place.w)
            for y in range(place.y, place.y + place.h)
        }
        assert not taken & cells, panel.title
        taken |= cells
