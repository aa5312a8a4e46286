"""Each way to install that README names, typed as it stands in a copy of the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from documented_blocks import ROOT, blocks, type_in
from meltano_command import own_environment

BIN = Path(sys.executable).parent
MAKE, FROM_A_CLONE, AS_A_WHEEL, BY_UVX, WITH_MELTANO = range(5)


def clone(folder):
    """What `git clone` brings, and what is not committed yet."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607  git is wherever the user has it
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    place = folder / "appcrm-connectors"
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name)
    return place


def typed(number, folder, environment):
    return type_in(blocks("README.md")[number].commands, folder, environment, seconds=500)


def test_the_installs_from_a_clone_by_a_wheel_and_by_uvx_bring_the_commands(tmp_path):
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    place = clone(tmp_path)
    assert "tap-appcrm" in typed(FROM_A_CLONE, place, environment)
    assert (place / "venv" / "bin" / "appcrm-sandbox").exists()
    assert "target-appcrm" in typed(AS_A_WHEEL, place, environment)
    said = typed(BY_UVX, place, environment)
    assert "tap-appcrm" in said
    assert "appcrm-sandbox" in said


def test_meltano_adds_and_installs_both_connectors_from_a_clone_beside_the_project(tmp_path):
    clone(tmp_path)
    typed(WITH_MELTANO, tmp_path, own_environment(MELTANO_SEND_ANONYMOUS_USAGE_STATS="false"))
    project = tmp_path / "project"
    plugins = yaml.safe_load((project / "meltano.yml").read_text(encoding="utf-8"))["plugins"]
    for kind, name in (("extractors", "tap-appcrm"), ("loaders", "target-appcrm")):
        assert [plugin["name"] for plugin in plugins[kind]] == [name]
        command = project / ".meltano" / kind / name / "venv" / "bin" / name
        told = subprocess.run([command, "--version"], capture_output=True, text=True, check=True, timeout=60)
        assert name in told.stdout
