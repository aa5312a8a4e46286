"""From a dry run to an undo, as docs/look-before-you-write.md shows it, and with people who change things meanwhile."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
BLOCKS = re.findall(
    r"^```bash\n(.*?)^```",
    (ROOT / "docs" / "look-before-you-write.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_every_block_of_the_page_runs_and_leaves_what_it_says(tmp_path):
    assert len(BLOCKS) >= 8
    port = free_port()
    check = f"""
curl -s -H "Authorization: Bearer sandbox-token" "http://127.0.0.1:{port}/api/contacts?per_page=100" > held.json
"""
    # What is held after the wrong run and after its undo.
    script = "\n".join(BLOCKS[:-1]).replace("8790", str(port)) + check
    wrong = script.index("appcrm-report undo")
    script = script[:wrong] + check.replace("held.json", "wrong.json") + script[wrong:] + BLOCKS[-1]
    done = subprocess.Popen(
        [shutil.which("bash"), "-e", "-o", "pipefail", "-m", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        told, _ = done.communicate(timeout=240)
    finally:
        subprocess.run(["/usr/bin/env", "kill", "-9", "--", f"-{done.pid}"], check=False, capture_output=True)
    assert done.returncode == 0, told

    def cities(name):
        rows = json.loads((tmp_path / name).read_text(encoding="utf-8"))["data"]
        return {
            row["email"]: row["city"]
            for row in rows
            if row["email"] in ("ana@example.com", "caio@example.com")
        }

    assert cities("wrong.json") == {"ana@example.com": "Recife", "caio@example.com": "Nowhere"}
    assert cities("held.json") == {"ana@example.com": "Recife", "caio@example.com": "Natal"}
    assert "Nothing has been written yet" in (tmp_path / "plan.html").read_text(encoding="utf-8")
    assert "ana@example.com" not in (tmp_path / "plan.md").read_text(encoding="utf-8")


FIELDS = ("first_name", "last_name", "email", "city", "job_title", "phones", "tags", "companies")
SCHEMA = {"type": "object", "properties": {name: {} for name in (*FIELDS, "_sdc_deleted_at")}}


@pytest.fixture
def crm(appcrm_sandbox_factory):
    return appcrm_sandbox_factory(contacts=0)


@pytest.fixture
def target(crm, tmp_path):
    """Run target-appcrm on records or on a file; returns its exit code and what it told."""

    def run(source, *configs, **chosen):
        base = tmp_path / "config.json"
        base.write_text(json.dumps({"api_url": crm.url, "auth_token": crm.token}))
        own = tmp_path / "own.json"
        own.write_text(json.dumps({"rejects_path": str(tmp_path / "rejects.jsonl"), **chosen}))
        if isinstance(source, list):
            messages = [
                {"type": "SCHEMA", "stream": "contacts", "schema": SCHEMA, "key_properties": ["email"]}
            ]
            messages += [{"type": "RECORD", "stream": "contacts", "record": each} for each in source]
            source = "".join(json.dumps(each) + "\n" for each in messages)
        else:
            source = source.read_text(encoding="utf-8")
        command = [str(BIN / "target-appcrm"), *(f"--config={path}" for path in (base, own, *configs))]
        done = subprocess.run(
            command, input=source, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path
        )
        return done.returncode, done.stderr

    return run


def held(crm):
    """What each contact holds that a person or a pipeline can write, by id."""
    rows = requests.get(
        f"{crm.url}/contacts?per_page=100&order=id&with=companies;deals",
        headers={"Authorization": f"Bearer {crm.token}"},
        timeout=30,
    ).json()["data"]
    return {
        row["id"]: {
            name: sorted((each["number"], each["type"]) for each in row["phones"]) if name == "phones"
            else sorted(each["name"] if name == "tags" else each["id"] for each in row[name] or ())
            if name in ("tags", "companies")
            else row[name]
            for name in FIELDS
        }
        for row in rows
    }  # fmt: skip


def change(crm, contact_id, **fields):
    """A person changes a contact."""
    answer = requests.put(
        f"{crm.url}/contacts/{contact_id}",
        json=fields,
        headers={"Authorization": f"Bearer {crm.token}"},
        timeout=30,
    )
    assert answer.status_code == 200


def test_after_plan_apply_a_further_change_and_undo_all_is_as_before_but_that_change(
    crm, target, report, tmp_path
):
    people = [
        {"first_name": f"P{n}", "email": f"p{n}@x.example", "city": "Recife", "tags": ["old"], "companies": [1],
         "phones": [{"number": f"+55 81 9999-000{n}", "type": "mobile"}]}
        for n in range(1, 7)
    ]  # fmt: skip
    assert target(people)[0] == 0
    before = held(crm)
    ids = {row["email"]: number for number, row in before.items()}

    night = [{**person, "city": "Olinda", "job_title": "CTO", "tags": ["new"]} for person in people[:4]]
    night[1] |= {"companies": [2, 3], "phones": []}
    night.append({"first_name": "New", "email": "new@x.example", "city": "Natal"})
    night.append({"first_name": "Other", "email": "other@x.example"})
    plan, receipts = tmp_path / "plan.jsonl", tmp_path / "receipts.jsonl"
    code, told = target(night, dry_run=True, receipts_path=str(plan))
    assert code == 0, told
    assert held(crm) == before
    code, told = target(night, plan_path=str(plan), receipts_path=str(receipts))
    assert code == 0, told
    assert held(crm) != before
    new = {row["email"]: number for number, row in held(crm).items()}

    # A field that the run did not touch, one that it did, and a contact that it created.
    change(crm, ids["p1@x.example"], last_name="Souza")
    change(crm, ids["p3@x.example"], city="Garanhuns")
    change(crm, new["other@x.example"], job_title="Made by a person")

    code, said, complaint = report("undo", receipts, "-o", tmp_path / "undo")
    assert (code, complaint) == (0, "")
    assert "undo.settings.json" in said
    code, told = target(tmp_path / "undo" / "undo.singer.jsonl", tmp_path / "undo" / "undo.settings.json")

    after = held(crm)
    expected = {number: dict(row) for number, row in before.items()}
    expected[ids["p1@x.example"]]["last_name"] = "Souza"
    expected[ids["p3@x.example"]]["city"] = "Garanhuns"
    expected[new["other@x.example"]] = after[new["other@x.example"]]
    assert after[new["other@x.example"]]["job_title"] == "Made by a person"
    assert after == expected, told


def test_a_deleted_contact_comes_back_under_a_new_id_unless_the_trash_holds_its_address(
    crm, target, report, tmp_path
):
    people = [
        {
            "first_name": "Ana",
            "email": None,
            "city": "Recife",
            "job_title": "CTO",
            "tags": ["vip"],
            "companies": [2],
        },
        {"first_name": "Caio", "email": "caio@x.example", "city": "Natal"},
        {"first_name": "Iara", "email": "iara@x.example", "city": "Olinda"},
    ]
    assert target(people)[0] == 0
    before = held(crm)
    gone = {number: row for number, row in before.items() if row["first_name"] != "Iara"}
    night = [{"id": number, "_sdc_deleted_at": "2026-06-01T00:00:00Z"} for number in gone]
    receipts = tmp_path / "receipts.jsonl"
    described = {"type": "object", "properties": {"id": {}, "_sdc_deleted_at": {}}}
    schema = {"type": "SCHEMA", "stream": "contacts", "schema": described, "key_properties": ["id"]}
    lines = [schema, *({"type": "RECORD", "stream": "contacts", "record": each} for each in night)]
    source = tmp_path / "night.jsonl"
    source.write_text("".join(json.dumps(each) + "\n" for each in lines))
    code, told = target(source, allow_deletes=True, match_on=["id"], receipts_path=str(receipts))
    assert code == 0, told
    assert held(crm).keys() == before.keys() - gone.keys()

    code, said, _ = report("undo", receipts, "-o", tmp_path / "undo")
    assert (code, said.count("returns under a new id")) == (0, 2)
    undo = (tmp_path / "undo" / "undo.singer.jsonl", tmp_path / "undo" / "undo.settings.json")
    undo_receipts = tmp_path / "undo-receipts.jsonl"
    code, told = target(*undo, receipts_path=str(undo_receipts))
    assert code == 1, told
    after = held(crm)
    assert [row["first_name"] for row in after.values()] == ["Iara", "Ana"]
    assert list(after)[1] > max(before)
    assert list(after.values())[1] in gone.values()
    (refused,) = [
        each for each in map(json.loads, undo_receipts.read_text(encoding="utf-8").splitlines())
        if each["type"] == "RECORD" and each["record"].get("operation") == "reject"
    ]  # fmt: skip
    assert refused["record"]["status"] == 422


def test_an_undo_that_is_applied_twice_or_of_an_edited_plan_changes_nothing_more(
    crm, target, report, tmp_path
):
    people = [{"first_name": f"P{n}", "email": f"p{n}@x.example", "city": "Recife"} for n in range(3)]
    assert target(people)[0] == 0
    before = held(crm)
    receipts = tmp_path / "receipts.jsonl"
    assert target([{**each, "city": "Olinda"} for each in people], receipts_path=str(receipts))[0] == 0
    assert report("undo", receipts, "-o", tmp_path / "undo")[0] == 0
    undo = (tmp_path / "undo" / "undo.singer.jsonl", tmp_path / "undo" / "undo.settings.json")
    plan = tmp_path / "undo" / "undo.plan.singer.jsonl"
    content = plan.read_bytes()
    plan.write_bytes(content.replace(b"Recife", b"Natal.", 1))
    code, told = target(*undo)
    assert (code, "seal" in told) == (1, True)
    plan.write_bytes(content)
    for _ in range(2):
        code, told = target(*undo)
        assert code == 0, told
        assert held(crm) == before
