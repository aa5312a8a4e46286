"""A client, and the scripted server that it asks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from appcrm.client import Client
from appcrm.settings import ApiSettings

# The scripted server stands beside the tests, which are not a package.
sys.path.insert(0, str(Path(__file__).parent))

from scripted_server import Answer, ScriptedServer

TOKEN = "secret-token-1234"


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
