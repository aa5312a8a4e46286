from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
for folder in ("tests", "examples/demo"):
    sys.path.insert(0, str(ROOT / folder))

from meltano_command import own_environment, run_meltano  # noqa: E402  lies above this folder
from meltano_plugins import link_plugins  # noqa: E402  the same
from postgres import DATABASE, HOST, USER, EmbeddedPostgres  # noqa: E402  lies in the demo


class Project:
    """The repository's meltano.yml with a system folder of its own, so that tests do not share state or catalogs."""

    def __init__(self, system, environment="prod"):
        self.system = system
        self._environment = own_environment(MELTANO_SYS_DIR_ROOT=str(system), MELTANO_ENVIRONMENT=environment)

    def try_(self, *arguments, stdin=None, **settings):
        """Run one command; the finished process, whatever its status."""
        return run_meltano(ROOT, self._environment | settings, *arguments, stdin=stdin)

    def __call__(self, *arguments, stdin=None, **settings):
        """Run one command, which must end with 0; what it printed."""
        done = self.try_(*arguments, stdin=stdin, **settings)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
        return done.stdout

    def state(self, pipeline):
        """The Singer state that Meltano keeps for `tap-to-target`, or None."""
        said = self.try_("state", "get", f"prod:{pipeline}")
        return json.loads(said.stdout or "{}").get("singer_state")


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """`once(name, make)`: a folder that `make(folder)` fills for the first worker of this run that asks for it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def prepared(name, make):
        folder = base / name
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "done").is_file():
                folder.mkdir(exist_ok=True)
                make(folder)
                (folder / "done").touch()
        return folder

    return prepared


@pytest.fixture(scope="session")
def plugins(tmp_path_factory):
    """A Meltano system folder with the plugins' environments."""
    system = tmp_path_factory.mktemp("plugins")
    link_plugins(system)
    return system


@pytest.fixture
def meltano(tmp_path):
    """`meltano(*arguments, **settings)` runs a command of Meltano on the repository's project."""
    system = tmp_path / "meltano"
    link_plugins(system)
    return Project(system)


@pytest.fixture
def address():
    """`address("TAP", sandbox)`: the settings of one connector for one sandbox."""
    return lambda plugin, sandbox: {
        f"{plugin}_APPCRM_API_URL": sandbox.url,
        f"{plugin}_APPCRM_AUTH_TOKEN": sandbox.token,
    }


@pytest.fixture
def in_duckdb(plugins):
    """`in_duckdb(database, program)`: its output as JSON, run with the very DuckDB that meltano.yml pins."""

    def run(database, program):
        done = subprocess.run(
            [
                str(plugins / "loaders" / "target-duckdb" / "venv" / "bin" / "python"),
                "-c",
                f"import duckdb, json\nconnection = duckdb.connect({str(database)!r})\n{program}",
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return json.loads(done.stdout or "null")

    return run


@pytest.fixture
def postgres(tmp_path):
    """A PostgreSQL of this test's own."""
    server = EmbeddedPostgres(tmp_path / "postgres")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def into_postgres(plugins, postgres, tmp_path):
    """`into_postgres(messages)`: the real target-postgres takes a Singer stream, a text, into the schema `appcrm`."""

    def run(messages):
        settings = tmp_path / "target-postgres.json"
        address = {"host": HOST, "port": postgres.port, "user": USER, "password": "any", "database": DATABASE}
        settings.write_text(
            json.dumps(address | {"default_target_schema": "appcrm", "load_method": "upsert"})
        )
        loader = plugins / "loaders" / "target-postgres" / "venv" / "bin" / "target-postgres"
        done = subprocess.run(
            [str(loader), "--config", str(settings)],
            input=messages, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]

    return run
