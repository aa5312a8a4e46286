"""Meltano's plugins for all tests that run them: installed once for each state of what they are made of."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil

import yaml
from meltano_command import ROOT, own_environment, run_meltano

KINDS = ("extractors", "loaders", "utilities")
CACHE = ROOT / ".cache" / "meltano-plugins"


def write_project(folder):
    """A copy of the repository's project with the Airflow example in it, its own packages installed from here."""
    for name in ("receipts", "airflow", "duckdb"):
        shutil.copytree(
            ROOT / "examples" / name,
            folder / "examples" / name,
            ignore=shutil.ignore_patterns("*.egg-info", "__pycache__", "build"),
        )
    document = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    document["include_paths"] = ["./examples/airflow/*.meltano.yml"]
    for kind in document["plugins"].values():
        for plugin in kind:
            if plugin.get("pip_url", "").startswith("-e "):
                plugin["pip_url"] = f"-e {(ROOT / plugin['pip_url'].removeprefix('-e ')).resolve()}"
    (folder / "meltano.yml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    (folder / "output").mkdir()
    return document


def link_plugins(system):
    """Put links to the installed plugins into a Meltano system folder, installing them where that was not done."""
    home = _installed()
    system.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        (system / kind).symlink_to(home / kind)


def _installed():
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        home = CACHE / _fingerprint()
        if not (home / "done").is_file():
            for stale in CACHE.glob("*/"):
                shutil.rmtree(stale)
            project = home / "project"
            project.mkdir(parents=True)
            document = write_project(project)
            plugins = [
                one["name"] for kind in document["plugins"].values() for one in kind if "pip_url" in one
            ]
            plugins += ["tap-receipts", "model"]
            environment = own_environment(MELTANO_SYS_DIR_ROOT=str(home))
            done = run_meltano(project, environment, "install", *dict.fromkeys(plugins))
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
            (home / "done").touch()
    return home


def _fingerprint():
    """Of what decides what is installed: settings of plugins do not."""
    files = [ROOT / "meltano.yml", *sorted((ROOT / "examples" / "airflow").glob("*.meltano.yml"))]
    sources = [
        (one["name"], one.get("pip_url"), one.get("python"))
        for file in files
        for kind in (yaml.safe_load(file.read_text(encoding="utf-8")).get("plugins") or {}).values()
        for one in kind
    ]
    made_of = json.dumps([sources, str(ROOT)]).encode() + b"".join(
        (ROOT / name).read_bytes()
        for name in ("pyproject.toml", "requirements-meltano.txt", "examples/duckdb/pyproject.toml")
    )
    return hashlib.sha256(made_of).hexdigest()[:16]
