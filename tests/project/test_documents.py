"""README and docs are held to the code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from appcrm.settings import SETTINGS_SCHEMA

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent
OF_THE_SDK = {
    "stream_maps",
    "stream_map_config",
    "faker_config",
    "flattening_enabled",
    "flattening_max_depth",
    "flattening_max_key_length",
    "flattening_separator",
    "batch_config",
    "load_method",
    "validate_records",
    "add_record_metadata",
    "batch_size_rows",
    "batch_wait_limit_seconds",
    "process_activate_version_messages",
    "emit_activate_version_messages",
}


def settings_of(command):
    told = subprocess.run(
        [str(BIN / command), "--about", "--format=json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    return json.loads(told)["settings"]


def table(name):
    after = README.partition(f"<!-- settings: {name} -->")[2].lstrip().splitlines()
    rows = {}
    for line in after[2:]:
        if not line.startswith("|"):
            break
        setting, default, _ = (cell.strip() for cell in line.strip("|").split("|", 2))
        rows[setting.strip("`")] = default
    assert rows
    return rows


def as_documented(schema, required):
    if required:
        return "required, secret" if schema.get("secret") else "required"
    default = schema.get("default")
    if default is None:
        return "none"
    return f"`{default}`" if isinstance(default, str) else f"`{json.dumps(default)}`"


@pytest.mark.parametrize("command", ["tap-appcrm", "target-appcrm"])
def test_the_settings_tables_say_what_the_command_says(command):
    about = settings_of(command)
    documented = {**table("shared"), **table(command)}
    told = {
        name: as_documented(schema, name in about.get("required", ()))
        for name, schema in about["properties"].items()
        if name not in OF_THE_SDK
    }
    assert told.pop("user_agent") == "none"
    assert documented.pop("user_agent") == "name/version"
    assert documented == told


def test_the_shared_table_holds_exactly_the_shared_settings():
    assert set(table("shared")) == set(SETTINGS_SCHEMA)


def test_meltano_yml_and_the_hub_files_say_what_the_connectors_say():
    done = subprocess.run(
        [sys.executable, str(ROOT / "hub" / "write.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_make_command_in_the_documents_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        (path.name, target)
        for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")]
        for target in re.findall(
            r"(?:^|`)make ([a-z-]+)(?=`|$| +#| [A-Z])", path.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert named
    assert {pair for pair in named if pair[1] not in targets} == set()


def test_every_option_of_our_commands_in_the_documents_exists():
    helps = {
        command: subprocess.run(
            [str(BIN / command), "--help"], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        for command in ("tap-appcrm", "target-appcrm")
    }
    named = {
        (command, option)
        for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]
        for command, rest in re.findall(
            r"^(?:\$ )?(tap-appcrm|target-appcrm) ([^|\n]*)", path.read_text(encoding="utf-8"), re.MULTILINE
        )
        for option in re.findall(r"(--[a-z-]+)", rest)
    }
    assert named
    assert {pair for pair in named if pair[1] not in helps[pair[0]]} == set()
