"""The documentation says what the code does."""

import argparse
import inspect
import pathlib
import re

import pytest
import yaml

from appcrm_sandbox.cli import DEFAULT_CONTACTS, DEFAULT_DATABASE, DEFAULT_PORT, make_parser
from appcrm_sandbox.control import Control
from appcrm_sandbox.custom_fields import DEFAULT_FIELDS, SQL_TYPES
from appcrm_sandbox.fault_rules import EFFECTS, SELECTORS, parse
from appcrm_sandbox.faults import OPERATIONS
from appcrm_sandbox.mutations import MUTATIONS
from appcrm_sandbox.requestlog import KEPT, Entry
from appcrm_sandbox.settings import CHOICES, Settings
from appcrm_sandbox.testing import RunningSandbox

TEXT = (pathlib.Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")


def _rows(heading):
    """The rows of the table under a heading cell, each as its cells."""
    lines = TEXT[TEXT.index(f"\n| {heading} |") :].splitlines()[3:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def _names(heading):
    return [row[0].strip("`") for row in _rows(heading)]


@pytest.fixture
def flags():
    """The flags of serve, by their long name."""
    commands = next(a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))  # noqa: SLF001  no public way
    actions = commands.choices["serve"]._actions  # noqa: SLF001  no public way
    return {action.option_strings[0]: action for action in actions if action.dest != "help"}


def _spoken(value):
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{value}`"


def test_every_flag_is_documented_with_its_default(flags):
    assert _names("flag") == list(flags)
    defaults = {name: action.default for name, action in flags.items()} | {"--custom-field": None}
    switches = {"token": Settings().token, **Settings().public()}
    defaults |= {f"--{name.replace('_', '-')}": value for name, value in switches.items()}
    assert {row[0].strip("`"): row[1] for row in _rows("flag")} == {
        name: _spoken(value) for name, value in defaults.items()
    }


def test_every_choice_of_a_flag_is_documented(flags):
    meanings = {name.strip("`"): meaning for name, _default, meaning in _rows("flag")}
    for name, choices in CHOICES.items():
        for choice in choices:
            assert f"`{choice}`" in meanings[f"--{name.replace('_', '-')}"], (name, choice)
    assert set(flags) == set(meanings)


def test_every_selector_effect_operation_and_mutation_is_documented():
    assert _names("selector") == list(SELECTORS)
    assert _names("effect") == list(EFFECTS)
    assert _names("mutation") == list(MUTATIONS)
    operations = next(row[1] for row in _rows("selector") if row[0] == "`operation`")
    assert set(re.findall(r"`(\w+)`", operations)) == set(OPERATIONS)


def test_the_example_of_a_faults_file_is_one():
    example = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL).group(1)
    rules, seed = parse(yaml.safe_load(example))
    assert (len(rules), seed) == (4, 7)


def test_every_request_to_the_control_plane_is_documented(crm):
    documented = set(_names("request"))
    served = {
        f"{method} {route.path}" for route in Control(crm).routes() for method in route.methods - {"HEAD"}
    }
    assert documented == served
    log = _rows("request")[0][1]
    assert f"{KEPT:,}" in log
    assert all(f"`{name}`" in log for name in Entry.__dataclass_fields__)


def test_every_type_of_custom_field_is_documented():
    documented = {name for row in _rows("type of custom field") for name in re.findall(r"`([\w-]+)`", row[0])}
    assert documented == set(SQL_TYPES) == {field.kind for field in DEFAULT_FIELDS}


def test_every_member_of_the_fixture_is_documented():
    documented = {name for row in _rows("member") for name in re.findall(r"`(\w+)", row[0])}
    methods = {
        name for name, _ in inspect.getmembers(RunningSandbox, inspect.isfunction) if not name.startswith("_")
    }
    assert documented == methods | {"url", "origin", "token", "database"}


def test_the_first_lines_of_the_docs_are_what_it_prints(crm):
    assert f"{DEFAULT_CONTACTS} contacts from {DEFAULT_DATABASE}, seed 1" in TEXT
    assert f"127.0.0.1:{DEFAULT_PORT}/api" in TEXT
    assert crm.sandbox.token in TEXT
