"""The demo's servers end with the demo, however it ends, and PostgreSQL runs where its user may not look."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import postgres
import pytest
from postgres import EmbeddedPostgres

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "demo"
START_POSTGRES = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[2]))
server.start()
with server.connect() as connection:
    [one] = connection.execute("select 1").fetchone()
print(json.dumps({"port": server.port, "answer": one}), flush=True)
if len(sys.argv) > 3:
    time.sleep(60)
server.stop()
"""


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_until(condition):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


def start_postgres(folder, *more):
    return subprocess.Popen(
        [sys.executable, "-c", START_POSTGRES, str(DEMO), str(folder), *more],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_killed_demo_leaves_no_server(tmp_path):
    process = start_postgres(tmp_path / "postgres", "wait")
    port = json.loads(process.stdout.readline())["port"]
    assert listens(port)
    process.kill()
    process.communicate()
    assert wait_until(lambda: not listens(port))

    again = start_postgres(tmp_path / "postgres")
    said, _ = again.communicate(timeout=60)
    assert again.returncode == 0
    assert json.loads(said)["answer"] == 1
    assert not (tmp_path / "postgres").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to hand PostgreSQL to another user")
def test_postgresql_starts_below_a_folder_that_only_root_may_enter(tmp_path):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    process = start_postgres(private / "postgres")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(said)["answer"] == 1


def test_an_interrupted_demo_stops_its_servers_and_says_so(tmp_path):
    process = subprocess.Popen(
        [sys.executable, str(DEMO / "run.py"), "--folder", str(tmp_path / "demo")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    words = process.stdout.readline()
    ports = [
        int(word.strip(",/.").rpartition(":")[2].partition("/")[0]) for word in words.split() if ":" in word
    ]
    ports += [int(words.partition("on port ")[2].partition(",")[0])]
    assert len(ports) == 2
    assert all(map(listens, ports))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "interrupted" in said
    assert "Traceback" not in said
    assert not any(map(listens, ports))


def test_without_the_wheel_postgresql_is_started_from_the_path(tmp_path, monkeypatch):
    programs = EmbeddedPostgres(tmp_path / "wheel").programs
    monkeypatch.setattr(postgres, "_installed", lambda _: None)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    server = EmbeddedPostgres(tmp_path / "postgres")
    assert server.programs == programs.resolve()
    if os.geteuid() == 0 and not postgres.reachable(programs):
        return  # the user that root lends it may not look into this checkout, and an installed server lies elsewhere
    server.start()
    with server.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    server.stop()


def test_without_any_postgresql_a_sentence_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(postgres, "_installed", lambda _: None)
    monkeypatch.setattr(postgres, "_DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(postgres.PostgresError, match="initdb"):
        EmbeddedPostgres(tmp_path / "postgres")
