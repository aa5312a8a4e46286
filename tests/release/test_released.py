"""What is released: the wheel and the sdist pass the tests that the checkout passes, and the site builds strictly."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.release, pytest.mark.timeout(2400)]

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).parent / "uv"
BESIDE_THE_PACKAGES = (
    "tests",
    "docs",
    "examples",
    "schemas",
    "hub",
    "pyproject.toml",
    "README.md",
    "meltano.yml",
)
QUICK = "not field and not browser and not release"
FREE_LICENCES = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|Mozilla|MPL|Unlicense|Public Domain|CNRI|0BSD|Zlib",
    re.IGNORECASE,
)
LICENCES = """
import importlib.metadata as m
for each in m.distributions():
    data = each.metadata
    classifiers = data.get_all("Classifier") or ()
    said = [data.get("License-Expression"), *(c for c in classifiers if c.startswith("License ::"))]
    text = " ".join(filter(None, said)) or (data.get("License") or "").splitlines()[0]
    print(data["Name"], text, sep="\\t")
"""


def run(*command, **options):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, timeout=1800, **options
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    run(UV, "build", "--quiet", "--out-dir", folder, ROOT)
    return {"wheel": next(folder.glob("*.whl")), "sdist": next(folder.glob("*.tar.gz"))}


def environment(folder, *packages):
    run(UV, "venv", "--quiet", "--python", sys.executable, folder)
    run(UV, "pip", "install", "--quiet", "--python", folder / "bin" / "python", *packages)
    return folder / "bin"


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_the_tests_pass_on_what_is_released(built, kind, tmp_path):
    place = tmp_path / "beside"
    place.mkdir()
    for name in BESIDE_THE_PACKAGES:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, place / name)
    folder = environment(tmp_path / "venv", "--requirement", ROOT / "requirements-dev.txt")
    run(UV, "pip", "install", "--quiet", "--python", folder / "python", "--no-deps", built[kind])
    run(UV, "pip", "install", "--quiet", "--python", folder / "python", "uv")
    folders = [f"tests/{name}" for name in ("client", "sandbox", "tap", "target", "report")]
    told = run(
        folder / "pytest", "-q", "-n", "3", "--dist", "worksteal", "-m", QUICK, "-p", "no:cacheprovider",
        *(name for name in folders if (place / name).is_dir()),
        cwd=place, env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    assert re.search(r"[1-9]\d* passed", told.splitlines()[-1])


def test_an_index_would_take_the_distributions(built, tmp_path):
    folder = environment(tmp_path / "venv", "twine")
    assert run(folder / "twine", "check", "--strict", *built.values()).count("PASSED") == len(built)


def test_what_is_installed_beside_the_connectors_is_free_to_use(built, tmp_path):
    folder = environment(tmp_path / "venv", f"{built['wheel']}[sandbox]")
    told = dict(line.split("\t") for line in run(folder / "python", "-c", LICENCES).splitlines())
    assert "singer-sdk" in told
    assert {name: text for name, text in told.items() if not FREE_LICENCES.search(text)} == {}


def test_the_site_builds_without_a_warning():
    run("make", "--no-print-directory", "-s", "site", cwd=ROOT)
    assert (ROOT / ".site" / "search" / "search_index.json").is_file()
