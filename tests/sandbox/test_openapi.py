"""The described API is the served API."""

import os
import pathlib
import subprocess
import sys

import pytest
import requests

CONFIGURATION = pathlib.Path(__file__).with_name("schemathesis.toml")


@pytest.fixture
def document(crm):
    return requests.get(f"{crm.sandbox.origin}/openapi.json", timeout=10).json()


def test_every_call_that_is_described_is_served(crm, document):
    for path, item in document["paths"].items():
        for method in item.keys() - {"parameters"}:
            answer = crm.call(method.upper(), path.replace("{id}", "1"), json={})
            assert answer.status_code != 405, (method, path)
            assert str(answer.status_code) in item[method]["responses"], (method, path, answer.status_code)


def test_a_field_declared_later_is_described(crm):
    crm.sandbox.declare_field("cf_plan", "select", ["free", "paid"])
    document = requests.get(f"{crm.sandbox.origin}/openapi.json", timeout=10).json()
    assert "cf_plan" in document["components"]["schemas"]["contacts_written"]["properties"]


# The other resources go the same way through the same code: `make search` tries them too, and more of each.
SOME_PATHS = r"^/(associations/|trashed/)?contacts|^/calls$|^/users$|^/countries$"


def test_schemathesis_finds_nothing(crm, tmp_path, capfd):
    thorough = os.environ.get("SEARCH_PROFILE") == "search"
    scope = (
        ["--max-examples", "30"] if thorough else ["--max-examples", "2", "--include-path-regex", SOME_PATHS]
    )
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION),
        "run", f"{crm.sandbox.origin}/openapi.json",
        "--header", f"Authorization: Bearer {crm.sandbox.token}",
        "--phases", "examples,coverage,fuzzing", *scope, "--seed", "1", "--no-color",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=3600 if thorough else 280, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert "Traceback" not in capfd.readouterr().err
