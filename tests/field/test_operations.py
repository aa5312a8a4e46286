"""What the documents tell people to type, typed."""

from __future__ import annotations

import json

import pytest
from meltano_command import ROOT
from warehouse import load_shop

STATE_ID = "prod:tap-appcrm-to-target-postgres"


@pytest.fixture
def sandbox(appcrm_sandbox_factory):
    return appcrm_sandbox_factory(contacts=25)


@pytest.fixture
def project(project_of, sandbox):
    return project_of(
        TAP_APPCRM_API_URL=sandbox.url,
        TAP_APPCRM_AUTH_TOKEN=sandbox.token,
        TARGET_APPCRM_API_URL=sandbox.url,
        TARGET_APPCRM_AUTH_TOKEN=sandbox.token,
    )


def loaded(warehouse):
    """Rows of contacts and when the last of them was written."""
    return warehouse.execute("SELECT count(*), min(_sdc_batched_at) FROM appcrm.contacts").fetchone()


def test_a_bookmark_that_was_moved_back_as_documented_reads_the_span_again(project, warehouse):
    project.meltano("run", "tap-appcrm", "target-postgres")
    kept = json.loads(project.meltano("state", "get", STATE_ID))
    assert kept["singer_state"]["bookmarks"]["contacts"]["replication_key_value"]
    warehouse.execute("DELETE FROM appcrm.contacts")

    moved = {"replication_key": "updated_at", "replication_key_value": "2000-01-01T00:00:00.000000Z"}
    project.meltano(
        "state", "set", "--force", STATE_ID, json.dumps({"singer_state": {"bookmarks": {"contacts": moved}}})
    )
    project.meltano("run", "tap-appcrm", "target-postgres")

    assert loaded(warehouse)[0] == 25
    again = json.loads(project.meltano("state", "get", STATE_ID))["singer_state"]["bookmarks"]["contacts"]
    assert (
        again["replication_key_value"]
        == kept["singer_state"]["bookmarks"]["contacts"]["replication_key_value"]
    )


def test_rejects_that_were_mended_go_in_by_the_documented_command(project, warehouse, sandbox):
    project.environment["TARGET_APPCRM_UNKNOWN_NAMES"] = "create"
    load_shop(warehouse)
    warehouse.execute("UPDATE shop.customers SET first_name = '' WHERE customer_id = 7")
    project.meltano("run", "tap-postgres", "target-appcrm", exit_code=1)
    [rejects] = (project.root / "output").glob("rejects-*.singer.jsonl")
    assert sandbox.find("astrid.gruber@apple.at") is None

    lines = [json.loads(line) for line in rejects.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        if line["type"] == "RECORD":
            line["record"]["first_name"] = "Astrid"
    mended = rejects.with_name("mended.singer.jsonl")
    mended.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with mended.open(encoding="utf-8") as file:
        project.meltano("invoke", "target-appcrm", stdin=file)

    assert sandbox.find("astrid.gruber@apple.at")["first_name"] == "Astrid"


def test_the_documented_stream_maps_make_contacts_of_a_table_as_it_is(project, warehouse, sandbox):
    load_shop(warehouse)
    text = (ROOT / "examples" / "demo" / "README.md").read_text(encoding="utf-8")
    block = text.partition("<!-- checked: stream-maps -->\n```yaml\n")[2].partition("```")[0]
    maps = project.root / "examples" / "airflow" / "maps.meltano.yml"
    maps.write_text(block, encoding="utf-8")

    project.meltano("run", "tap-postgres--shop", "target-appcrm--shop")

    assert len(sandbox.contacts()) == 25 + 59
    frank = sandbox.find("fharris@google.com")
    assert (frank["street"], frank["city"]) == ("1600 Amphitheatre Parkway", "Mountain View")
    assert frank["phones"] == [{"number": "+1 (650) 253-0000", "type": "work"}]
    assert frank["tags"] == ["music shop", "USA"]
    luis = sandbox.find("luisg@embraer.com.br")
    assert (len(frank["companies"]), len(luis["companies"])) == (1, 1)
    assert frank["companies"] != luis["companies"]
    assert sandbox.find("leonekohler@surfeu.de")["companies"] == []
