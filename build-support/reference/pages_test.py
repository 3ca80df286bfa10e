"""docs/reference is what the code says, and leaves nothing out."""

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType

import click
import pytest

import danm_api.node_call
import danm_cni.shim.main
import fakeipam.local
import fakeipam.main
from danm_api.crd.definitions import ALL
from danm_cni.cni_errors import CniCode, mapped_classes
from reference.__main__ import DIRECTORY
from reference.custom_resources import Field, fields
from reference.error_codes import MEANINGS, kinds
from reference.pages import PAGES
from reference.programs import CALL_VARIABLES, EXECUTABLE_VARIABLES, PROGRAMS, option_row, variables

HINT = "write it anew: . build-support/monitoring/paths && python -m reference"


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_are_up_to_date(name: str) -> None:
    """What the repository shows is what the code says now."""
    assert (DIRECTORY / name).read_text() == PAGES[name](), HINT


def test_every_field_has_a_meaning() -> None:
    """Nobody has to guess."""
    found = [(kind.kind, each) for kind in ALL for each in fields(kind.schema)]
    assert [f"{kind} {each.path}" for kind, each in found if not each.description] == []
    assert len(found) > 50


def test_a_field_with_all_that_there_is() -> None:
    """Its path, type, bounds and default."""
    inner = {
        "type": "array",
        "description": "Some.",
        "maxItems": 3,
        "items": {
            "type": "object",
            "required": ["a"],
            "properties": {
                "a": {
                    "type": "integer",
                    "format": "int64",
                    "minimum": 1,
                    "maximum": 9,
                    "description": "A.",
                    "default": 5,
                    "nullable": True,
                }
            },
        },
    }
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"l": inner}}},
    }
    *_, items, number = fields(schema)
    assert items == Field(
        path="spec.l",
        type="list of objects",
        bounds="at most 3 items",
        default="",
        description="Some.",
    )
    assert number == Field(
        path="spec.l[].a",
        type="integer",
        bounds="required, 1 to 9, null",
        default="5",
        description="A.",
    )


def _options() -> Iterator[tuple[str, click.Option, click.Context]]:
    for program in PROGRAMS:
        pending = [(program.command, click.Context(program.command, info_name=program.name))]
        while pending:
            command, context = pending.pop()
            for each in command.params:
                if isinstance(each, click.Option) and not each.hidden:
                    yield f"{context.command_path} {each.opts[0]}", each, context
            if isinstance(command, click.Group):
                pending += [
                    (inner, click.Context(inner, info_name=name, parent=context))
                    for name, inner in command.commands.items()
                    if not inner.hidden
                ]


def test_every_option_has_a_meaning() -> None:
    """Nobody has to guess."""
    found = list(_options())
    assert [name for name, option, context in found if not option_row(option, context)[-1]] == []
    assert len(found) > 60


def test_variables_are_those_that_click_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's order is click's: the first that is set counts."""
    seen: list[object] = []

    @click.command(context_settings={"auto_envvar_prefix": "DANM"})
    @click.option("--flannel-bridge", envvar="FLANNEL_BRIDGE")
    def command(flannel_bridge: str) -> None:
        seen.append(flannel_bridge)

    context = click.Context(command, **command.context_settings)
    option = command.params[0]
    assert isinstance(option, click.Option)
    names = variables(option, context)
    assert names == ["FLANNEL_BRIDGE", "DANM_FLANNEL_BRIDGE"]
    for name in reversed(names):
        monkeypatch.setenv(name, f"of {name}")
        command.main([], standalone_mode=False)
    assert seen == [f"of {name}" for name in reversed(names)]


def _read_in(module: ModuleType) -> Iterator[str]:
    """Yield the variables that a module of the executables looks for, by name and as bytes."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Constant) and isinstance(node.value, bytes):
            name = node.value.decode("ascii", "replace")
            if name.startswith(("CNI_", "DANM_")) and not name.endswith("_"):
                yield name


def test_variables_of_the_executables_are_all_there() -> None:
    """Those that their code names."""
    modules = (danm_api.node_call, danm_cni.shim.main, fakeipam.local, fakeipam.main)
    assert {name for module in modules for name in _read_in(module)} == {
        *CALL_VARIABLES,
        *EXECUTABLE_VARIABLES,
    }


def test_every_code_and_error_is_there() -> None:
    """Each code has a meaning, and each class of the tree a row."""
    assert set(MEANINGS) == set(CniCode)
    assert mapped_classes() <= set(kinds())
