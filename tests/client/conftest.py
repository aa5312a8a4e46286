"""A scripted HTTP server on loopback: each test says what the next answers are, and reads what was asked."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from appcrm.client import Client
from appcrm.settings import ApiSettings

TOKEN = "secret-token-1234"


@dataclass
class Answer:
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    reset: bool = False


@dataclass
class Asked:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class ScriptedServer:
    """Answers in the given order; the last answer is repeated."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                answer = outer.next_answer(Asked(self.command, self.path, dict(self.headers), body))
                if answer.reset:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                length = len(answer.body) + (10 if answer.cut else 0)
                if answer.status != 204:
                    self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(answer.body)
                if answer.cut:
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815  the names that http.server calls

            def log_message(self, *_args: object) -> None:
                """Keep the test output quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/api"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    def next_answer(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server():
    scripted = ScriptedServer()
    scripted.start()
    yield scripted
    scripted.stop()


@pytest.fixture
def waits():
    """Seconds of each wait that the client asked for; only they move its clock."""
    return []


@pytest.fixture
def make_client(server, waits):
    def make(**settings):
        config = {
            "api_url": server.url,
            "auth_token": TOKEN,
            "max_tries": 3,
            "request_timeout": 5,
            **settings,
        }
        return Client.from_settings(
            ApiSettings.from_config(config, user_agent="test/1"),
            clock=lambda: 1000.0 + sum(waits),
            sleep=waits.append,
        )

    return make


@pytest.fixture
def client(make_client):
    return make_client()


@pytest.fixture
def answer(server):
    """Say what the next answers are; the last one is repeated."""

    def give(*specs):
        server.answers = [Answer(**spec) for spec in specs]

    return give
