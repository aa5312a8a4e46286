"""meltano.yml says of the two connectors what they say of themselves."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from meltano_command import own_environment, run_meltano

ROOT = Path(__file__).parents[2]
PROJECT = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
PLUGINS = {plugin["name"]: plugin for kind in PROJECT["plugins"].values() for plugin in kind}


@pytest.mark.parametrize("name", ["tap-appcrm", "target-appcrm"])
def test_the_token_is_sensitive_and_address_and_token_are_required(name):
    written = {setting["name"]: setting for setting in PLUGINS[name]["settings"]}
    assert written["auth_token"]["sensitive"] is True
    assert ["api_url", "auth_token"] in PLUGINS[name]["settings_group_validation"]


def test_the_tap_has_the_capabilities_without_which_every_run_is_a_full_refresh():
    assert {"catalog", "discover", "state"} <= set(PLUGINS["tap-appcrm"]["capabilities"])


def test_every_plugin_has_a_namespace_so_that_no_hub_is_asked():
    assert [
        name for name, plugin in PLUGINS.items() if "namespace" not in plugin and "inherit_from" not in plugin
    ] == []


@pytest.mark.parametrize("kind", ["extractors", "loaders"])
def test_meltano_adds_a_connector_from_its_hub_file(kind, tmp_path):
    environment = own_environment(MELTANO_SEND_ANONYMOUS_USAGE_STATS="false")
    made = run_meltano(tmp_path, environment, "init", "project")
    assert made.returncode == 0, made.stderr[-2000:]
    (definition,) = (ROOT / "hub" / kind).glob("*.yml")
    added = run_meltano(
        tmp_path / "project",
        environment,
        "add",
        "--no-install",
        "--from-ref",
        str(definition),
        definition.stem,
    )
    assert added.returncode == 0, added.stderr[-2000:]
    project = yaml.safe_load((tmp_path / "project" / "meltano.yml").read_text(encoding="utf-8"))
    (plugin,) = project["plugins"][kind]
    hub = yaml.safe_load(definition.read_text(encoding="utf-8"))
    assert plugin["capabilities"] == hub["capabilities"]
    assert [each["name"] for each in plugin["settings"]] == [each["name"] for each in hub["settings"]]


def test_meltanos_own_schema_takes_the_project_file_and_the_hub_files():
    (path,) = (ROOT / ".venv-meltano").glob("lib/python*/site-packages/meltano/schemas/meltano.schema.json")
    schema = jsonschema.Draft7Validator(json.loads(path.read_text(encoding="utf-8")))
    hub_files = {
        kind: [
            yaml.safe_load(each.read_text(encoding="utf-8")) for each in (ROOT / "hub" / kind).glob("*.yml")
        ]
        for kind in ("extractors", "loaders")
    }
    assert all(hub_files.values())
    for content in (PROJECT, {"plugins": hub_files}):
        assert [error.message for error in schema.iter_errors(content)] == []
