from __future__ import annotations

import http.server
import json
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
for folder in ("tests", "tests/field", "examples/demo", "examples/airflow/dags"):
    sys.path.insert(0, str(ROOT / folder))

from clusters import AIRFLOW, Airflow, MeltanoProject  # noqa: E402  lies beside this file
from meltano_command import MELTANO  # noqa: E402  lies above this folder
from postgres import EmbeddedPostgres  # noqa: E402  lies in the demo


def pytest_collection_modifyitems(items):
    """What may take longest comes first: with two workers the longest test decides when all are done."""
    items.sort(key=lambda item: -sum(marker.args[0] for marker in item.iter_markers("timeout")))


@pytest.fixture
def postgres(tmp_path):
    server = EmbeddedPostgres(tmp_path / "postgres")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def warehouse(postgres):
    with postgres.connect() as connection:
        yield connection


@pytest.fixture
def project_of(tmp_path, postgres):
    """`project_of(**environment)`: a Meltano project whose warehouse is this test's PostgreSQL."""
    missing = [path for path in (MELTANO, AIRFLOW) if not path.is_file()]
    if missing:
        pytest.fail(f"{missing[0]} is missing: run `make install-airflow`")
    return lambda **settings: MeltanoProject(tmp_path / "project", postgres, **settings).install()


@pytest.fixture
def airflow_of(tmp_path):
    running = []

    def make(project, **settings):
        running.append(Airflow(tmp_path / f"airflow{len(running)}", project, **settings))
        return running[-1]

    yield make
    for one in running:
        one.stop()


@pytest.fixture
def alerts():
    """A receiver of alerts: `.address`, and `.texts` so far."""

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.texts.append(json.loads(body)["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.texts = []
    server.address = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
