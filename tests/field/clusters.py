"""Real processes for the tests: a Meltano project that is set up as a user's, and an Airflow around it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.request
from pathlib import Path

import psycopg
import pytest
from meltano_command import MELTANO, ROOT, own_environment, run_meltano
from meltano_plugins import link_plugins, write_project
from postgres import DATABASE, HOST, USER

AIRFLOW = ROOT / ".venv-airflow" / "bin" / "airflow"
MIGRATED = ROOT / ".cache" / "airflow"


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds, what, every_seconds=1):
    """What `condition` returned once it was true; AssertionError with `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(every_seconds)
    raise AssertionError(f"{what} did not come within {seconds} s")


class MeltanoProject:
    """A copy of the repository's project with the Airflow example in it, and with `.meltano` and files of its own."""

    def __init__(self, folder, postgres, **settings):
        self.root = folder
        folder.mkdir(parents=True)
        write_project(folder)
        address = {
            "HOST": HOST,
            "PORT": str(postgres.port),
            "USER": USER,
            "PASSWORD": "any",
            "DATABASE": DATABASE,
        }
        self.environment = own_environment() | {
            "MELTANO_PROJECT_ROOT": str(folder),
            "MELTANO_EXECUTABLE": str(MELTANO),
            "MELTANO_ENVIRONMENT": "prod",
            "MELTANO_RETRY_DELAY_SECONDS": "1",
            **{f"TAP_POSTGRES_{name}": text for name, text in address.items()},
            **{f"TARGET_POSTGRES_{name}": text for name, text in address.items()},
            **settings,
        }

    def install(self):
        """Link the plugins' environments, which all tests share."""
        link_plugins(self.root / ".meltano")
        return self

    def meltano(self, *arguments, seconds=240, exit_code=0, stdin=None, **settings):
        environment = self.environment | settings
        done = run_meltano(self.root, environment, *arguments, stdin=stdin, seconds=seconds)
        assert done.returncode == exit_code, done.stdout[-2000:] + done.stderr[-6000:]
        return done.stdout


class Airflow:
    """An Airflow of its own for one project: its folder, its database, its processes."""

    def __init__(self, folder, project, **settings):
        self.folder = folder
        self.port = free_port()
        self._processes = {}
        self._token = None
        folder.mkdir(parents=True)
        base = f"http://{HOST}:{self.port}"
        self.environment = project.environment | {
            # `airflow standalone` starts its parts by the name `airflow`.
            "PATH": f"{AIRFLOW.parent}{os.pathsep}{project.environment['PATH']}",
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(project.root / "examples" / "airflow" / "dags"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{base}/execution/",
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": base,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "a secret that every process of this Airflow shares, for one test",
            "AIRFLOW__SCHEDULER__PARSING_PROCESSES": "1",
            # Two cores carry a whole cluster: no DAG file changes while it runs, and nobody waits for a second.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "2",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            **settings,
        }

    def command(self, *arguments, seconds=300, exit_codes=(0,)):
        log = self.folder / f"{'-'.join(arguments[:2])}.log"
        with log.open("wb") as output:
            try:
                done = subprocess.run(
                    [str(AIRFLOW), *arguments],
                    cwd=self.folder,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    timeout=seconds,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                pytest.fail(
                    f"{arguments} took more than {seconds} s: {log.read_text(errors='replace')[-8000:]}"
                )
        said = log.read_text(encoding="utf-8", errors="replace")
        assert done.returncode in exit_codes, said[-8000:]
        return said

    def rows(self, query, *values):
        """What Airflow's own database answers; its command line needs five seconds for the same."""
        address = self.environment.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")
        if address:
            with psycopg.connect(address.replace("postgresql+psycopg2", "postgresql")) as connection:
                return connection.execute(query.replace("?", "%s"), values).fetchall()
        with contextlib.closing(sqlite3.connect(self.folder / "airflow.db", timeout=30)) as connection:
            return connection.execute(query, values).fetchall()

    def runs(self, dag):
        """State of each run by its id, the oldest first."""
        return dict(self.rows("SELECT run_id, state FROM dag_run WHERE dag_id = ? ORDER BY id", dag))

    def tasks(self, dag, run_id):
        """State and number of tries of each task of a run."""
        query = "SELECT task_id, state, try_number FROM task_instance WHERE dag_id = ? AND run_id = ?"
        return {task: (state, tries) for task, state, tries in self.rows(query, dag, run_id)}

    def knows(self, dag):
        """Whether the DAG's file was read."""
        return bool(self.rows("SELECT 1 FROM serialized_dag WHERE dag_id = ?", dag))

    def test_dag(self, dag, moment):
        """`airflow dags test`: the states of the run and of its tasks, and its words."""
        said = self.command("dags", "test", dag, moment, seconds=700, exit_codes=(0, 1))
        run_id, state = list(self.runs(dag).items())[-1]
        return state, self.tasks(dag, run_id), said

    def call(self, method, path, body=None):
        """Airflow's own REST API, as anybody who may log in."""
        base = f"http://{HOST}:{self.port}"
        if self._token is None:
            self._token = _answer("GET", f"{base}/auth/token", None, None)["access_token"]
        return _answer(method, f"{base}/api/v2/{path}", body, self._token)

    def pools(self):
        return dict(self.rows("SELECT pool, slots FROM slot_pool"))

    def prepare(self, project):
        """Its database, and the accounts' pools."""
        if "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in self.environment:
            self.command("db", "migrate")
        else:
            shutil.copy(self._migrated(), self.folder / "airflow.db")
        pools = self.folder / "pools.json"
        made = subprocess.run(
            [
                str(AIRFLOW.parent / "python"),
                str(project.root / "examples" / "airflow" / "dags" / "meltano_project.py"),
            ],
            env=project.environment,
            stdout=subprocess.PIPE,
            check=True,
            timeout=60,
        )
        pools.write_bytes(made.stdout)
        self.command("pools", "import", str(pools))

    def _migrated(self):
        """An empty SQLite database of this very Airflow, which all tests copy."""
        requirements = (ROOT / "requirements-airflow.txt").read_bytes()
        kept = MIGRATED / f"{hashlib.sha256(requirements).hexdigest()[:16]}.db"
        MIGRATED.mkdir(parents=True, exist_ok=True)
        with (MIGRATED / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.is_file():
                self.command("db", "migrate")
                draft = kept.with_suffix(".draft")
                shutil.copy(self.folder / "airflow.db", draft)
                draft.replace(kept)
        return kept

    def start(self, name, *arguments, **settings):
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            self._processes[name] = subprocess.Popen(
                [str(AIRFLOW), *arguments],
                cwd=self.folder,
                env=self.environment | settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def said(self, name):
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def lose(self, name):
        """End a process and all that came from it at once, as a machine that loses its power."""
        family = descendants(self._processes[name].pid)
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._processes.pop(name).wait()
        return len(family)

    def stop(self):
        """Ask every process to end, all at once, and kill what has not."""
        families = [descendants(process.pid) for process in self._processes.values()]
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
        for pid in itertools.chain.from_iterable(families):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._processes.values():
            process.wait()
        self._processes.clear()


def _answer(method, address, body, token):
    request = urllib.request.Request(address, method=method)  # noqa: S310  a loopback address
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(request, data, timeout=60) as answer:  # noqa: S310  the same
        return json.load(answer)


def descendants(pid):
    """A process and all below it, whatever their groups and sessions."""
    children = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop())
        queue += children.get(found[-1], [])
    return found
