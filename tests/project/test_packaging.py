"""What a user installs is whole."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCHEMAS = sorted(path.name for path in (ROOT / "schemas").glob("*.json"))
UV = Path(sys.executable).parent / "uv"


def run(*command, **options):
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=True, timeout=240, **options
    ).stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The sdist of the checkout, and the wheel built from that sdist, as a package index would have them."""
    folder = tmp_path_factory.mktemp("dist")
    run(UV, "build", "--quiet", "--out-dir", folder, ROOT)
    return folder


def test_the_wheel_built_through_the_sdist_holds_the_schemas(distributions):
    (wheel,) = distributions.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in SCHEMAS if f"appcrm/schemas/{name}" not in names] == []
    assert not any(name.startswith(("schemas/", "tests/", "benchmarks/", "examples/")) for name in names)
    assert {
        f"{package}/py.typed" for package in ("appcrm", "tap_appcrm", "target_appcrm", "appcrm_sandbox")
    } <= set(names)


def test_the_sdist_holds_what_is_needed_to_build_and_nothing_of_the_tests(distributions):
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert {"pyproject.toml", "README.md", "LICENSE", "schemas/contacts.json"} <= set(names)
    assert not any(name.startswith("tests/") for name in names)


@pytest.fixture(scope="module")
def installed(distributions, tmp_path_factory):
    """The folder of commands of a new environment that has the wheel without extras."""
    folder = tmp_path_factory.mktemp("venv") / "venv"
    (wheel,) = distributions.glob("*.whl")
    run(UV, "venv", "--quiet", "--python", sys.executable, folder)
    requirements = ROOT / "requirements-dev.txt"
    run(
        UV,
        "pip",
        "install",
        "--quiet",
        "--python",
        folder / "bin" / "python",
        "--constraint",
        requirements,
        wheel,
    )
    return folder / "bin"


@pytest.mark.parametrize("command", ["tap-appcrm", "target-appcrm"])
def test_an_installed_command_tells_its_version(installed, command, tmp_path):
    assert "appcrm" in run(installed / command, "--version", cwd=tmp_path)


def test_an_installed_package_finds_its_schemas(installed, tmp_path):
    program = "from appcrm.schemas import load_schema; print(load_schema('contacts')['properties']['id'])"
    assert "integer" in run(installed / "python", "-c", program, cwd=tmp_path)


def test_the_sandbox_without_its_extra_says_what_to_install(installed, tmp_path):
    done = subprocess.run(
        [str(installed / "appcrm-sandbox"), "serve"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode != 0
    assert "appcrm-connectors[sandbox]" in done.stderr
    assert "Traceback" not in done.stderr
