"""meltano.yml says of the two connectors what they say of themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
PLUGINS = {plugin["name"]: plugin for kind in PROJECT["plugins"].values() for plugin in kind}
KINDS = {"integer": "integer", "boolean": "boolean", "array": "array", "object": "object", "string": "string"}


def about(command):
    path = Path(sys.executable).parent / command
    done = subprocess.run(
        [str(path), "--about", "--format=json"], capture_output=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["tap-appcrm", "target-appcrm"])
def test_every_setting_of_a_connector_stands_in_meltano_yml_with_its_default(name):
    told = about(name)["settings"]["properties"]
    written = {setting["name"]: setting for setting in PLUGINS[name]["settings"]}
    assert {setting for setting in told if setting not in written and "stream_map" not in setting} <= {
        "faker_config", "flattening_enabled", "flattening_max_depth", "flattening_max_key_length",
        "flattening_separator", "batch_config", "batch_size_rows", "batch_wait_limit_seconds",
        "process_activate_version_messages", "emit_activate_version_messages", "add_record_metadata", "load_method",
        "validate_records", "activate_version",
    }  # fmt: skip
    assert set(written) - set(told) == set()
    for setting, schema in told.items():
        if setting in written and schema.get("default") is not None and "value" in written[setting]:
            assert written[setting]["value"] == schema["default"], setting


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
