"""The undo of a run: what its stream and plan hold, what it names as lost, and what it refuses."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from receipt_files import ACCOUNT, AT, a_run, receipt, write_runs

from appcrm.receipt_reader import ReceiptsFile
from appcrm_report.undo import undo_of, undo_settings

PHONES = [{"number": "+55 81 1", "type": "work"}]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def undone(report):
    """Undo a run; returns what was said, and the files' content."""

    def undo(*receipts, **facts):
        Path("in.jsonl").unlink(missing_ok=True)
        write_runs(Path("in.jsonl"), (a_run(**facts), receipts))
        code, said, complaint = report("undo", "in.jsonl", "-o", "out")
        assert (code, complaint) == (0, "")
        messages = [json.loads(line) for line in Path("out/undo.singer.jsonl").read_text().splitlines()]
        with ReceiptsFile("out/undo.plan.singer.jsonl") as file:
            plan = file.last_run
            planned = list(file.receipts(plan))
        assert plan.why_not_whole() is None
        chosen = json.loads(Path("out/undo.settings.json").read_text())
        return said, messages, plan.run, planned, chosen

    return undo


def records(messages):
    return [message["record"] for message in messages if message["type"] == "RECORD"]


def test_an_update_puts_back_the_oldest_value_of_each_field(undone):
    said, messages, run, planned, chosen = undone(
        receipt("update", 7, changes={"city": ["Recife", "Olinda"], "job_title": [None, "CTO"]}),
        receipt("update", 7, changes={"city": ["Olinda", "Natal"], "phones": [PHONES, []]}),
        receipt("sync", 7, changes={"companies": [[1, 2], [3]]}),
        receipt("update", 9, changes={"city": ["a", "b"]}),
        receipt("update", 9, changes={"city": ["b", "a"]}),
        receipt("unchanged", 10),
        receipt("reject", 11, reason="x"),
    )
    assert records(messages) == [
        {"id": 7, "city": "Recife", "job_title": None, "phones": PHONES, "companies": [1, 2]}
    ]
    (only,) = planned
    assert (only.operation, only.contact_id, only.key, only.stream) == ("update", 7, {"id": 7}, "contacts")
    assert only.changes == {
        "city": ["Natal", "Recife"], "job_title": ["CTO", None], "phones": [[], PHONES], "companies": [[3], [1, 2]],
    }  # fmt: skip
    assert (run.planned, run.undo_of, run.settings, run.account) == (True, "run-1", None, ACCOUNT)
    assert chosen["match_on"] == ["id"]
    assert chosen["null_handling"] == "clear"
    assert chosen["allow_deletes"] is False
    assert messages[0]["key_properties"] == ["id"]
    assert "1 contact to put back" in said
    assert (
        "target-appcrm --config config.json --config out/undo.settings.json < out/undo.singer.jsonl" in said
    )


def test_a_created_contact_is_deleted_if_it_is_as_the_run_left_it(undone):
    created = {"first_name": [None, "Ana"], "email": [None, "a@x.example"], "companies": [None, [3]]}
    said, messages, _, planned, chosen = undone(
        receipt("create", 5, changes=created), receipt("update", 5, changes={"city": [None, "Recife"]})
    )
    (tombstone,) = records(messages)
    assert tombstone.pop("_sdc_deleted_at").startswith("20")
    assert tombstone == {"id": 5}
    (only,) = planned
    assert only.operation == "delete"
    assert {name: old for name, (old, _) in only.changes.items() if old} == {
        "first_name": "Ana", "email": "a@x.example", "companies": [3], "city": "Recife",
    }  # fmt: skip
    # What somebody filled in since is a change, too; what the CRM fills in by itself is none.
    assert {"last_name", "phones", "tags", "deals"} <= set(only.changes)
    assert not {"user_id", "source_id", "country_id"} & set(only.changes)
    assert (chosen["allow_deletes"], chosen["max_deletes"]) == (True, 1)
    assert "1 contact that the run created will be deleted" in said


def test_a_deleted_contact_is_created_again_with_all_that_it_held(undone):
    held = {"first_name": ["Ana", None], "email": ["ana@secret.example", None], "phones": [PHONES, None],
            "id": [5, None], "updated_at": [AT, None], "deals_count": [2, None], "deals": [[4], None]}  # fmt: skip
    said, messages, _, planned, chosen = undone(
        receipt("update", 5, changes={"city": ["Recife", None]}, key={"email": "ana@secret.example"}),
        receipt("delete", 5, changes=held),
        receipt("update", 6, changes={"city": ["a", "b"]}),
    )
    back = {
        "first_name": "Ana",
        "email": "ana@secret.example",
        "phones": PHONES,
        "city": "Recife",
        "deals": [4],
    }
    assert records(messages) == [{"id": 6, "city": "a"}, back]
    assert [message["key_properties"] for message in messages if message["type"] == "SCHEMA"] == [
        ["id"],
        ["email"],
    ]
    assert (planned[1].operation, planned[1].contact_id, planned[1].key) == (
        "create", None, {"email": "ana@secret.example"},
    )  # fmt: skip
    assert planned[1].changes == {name: [None, value] for name, value in back.items()}
    assert chosen["match_on"] == ["id", "email"]
    assert "returns under a new id" in said
    assert "not while the trash holds its address" in said
    assert "ana@secret.example" not in said


def test_a_contact_that_was_created_and_deleted_in_one_run_is_no_matter(report):
    write_runs(
        Path("in.jsonl"),
        (
            a_run(),
            [receipt("create", 5, changes={"first_name": [None, "A"]}), receipt("delete", 5, changes={})],
        ),
    )
    code, said, _ = report("undo", "in.jsonl", "-o", "out")
    assert code == 0
    assert "changed nothing that can be put back" in said
    assert not Path("out").exists()


def test_what_cannot_be_put_back_is_named(undone):
    said, messages, _, planned, _ = undone(
        receipt("attach", 7, changes={"deals": [None, [3]]}),
        receipt("update", 8, changes={"cf_select": [None, 4], "cf_text": [None, "x"], "city": ["a", "b"]}),
        receipt("delete", 9, changes={"email": ["b@x.example", None]}),
        receipt("create", None, changes={"first_name": [None, "A"]}),
    )
    # A select that may stay is asked for alone, so that the rest is put back whatever becomes of it.
    assert records(messages) == [{"id": 8, "cf_select": None}, {"id": 8, "cf_text": None, "city": "a"}]
    assert [each.record_number for each in planned] == [1, 2]
    for words in ("Contact 7: which deals it had before is not known", "Contact 8: cf_select was empty",
                  "Contact 9 was deleted, and its receipt lacks", "1 write named no contact"):  # fmt: skip
        assert words in said


def test_custom_fields_without_the_prefix_are_declared(undone):
    *_, chosen = undone(
        receipt("update", 7, changes={"loyalty": ["a", "b"], "cf_x": ["a", "b"], "city": ["a", "b"]})
    )
    assert chosen["custom_fields"] == ["loyalty"]


def test_a_file_of_several_runs_is_listed_and_nothing_is_written(report):
    update = receipt("update", 1, changes={"city": ["a", "b"]})
    write_runs(
        Path("in.jsonl"),
        (a_run("a"), [update]),
        (a_run("b"), [update], False),
        (a_run("c", planned=True), []),
    )
    code, said, complaint = report("undo", "in.jsonl", "-o", "out")
    assert code == 1
    lines = said.splitlines()
    assert [line.split()[0] for line in lines] == ["a", "b", "c"]
    assert "Run, never ended: 1 updated" in lines[1]
    assert "Plan: nothing to do" in lines[2]
    assert "--run" in complaint
    assert not Path("out").exists()
    assert report("undo", "in.jsonl", "--run", "a", "-o", "out")[0] == 0
    assert (
        json.loads(Path("out/undo.plan.singer.jsonl").read_text().splitlines()[2])["record"]["undo_of"] == "a"
    )


def test_a_run_that_never_ended_is_undone_as_far_as_is_known_and_named(report):
    write_runs(Path("in.jsonl"), (a_run(), [receipt("update", 1, changes={"city": ["a", "b"]})], False))
    code, said, complaint = report("undo", "in.jsonl", "-o", "out")
    assert code == 0
    assert "never ended" in complaint
    assert "1 contact to put back" in said


def test_a_plan_is_nothing_to_undo(report):
    write_runs(Path("in.jsonl"), (a_run(planned=True), [receipt("update", 1, changes={"city": ["a", "b"]})]))
    code, said, complaint = report("undo", "in.jsonl", "-o", "out")
    assert (code, said) == (1, "")
    assert "is a plan: it wrote nothing" in complaint
    assert not Path("out").exists()


def test_an_undo_never_overwrites_another_and_is_private(report):
    write_runs(Path("in.jsonl"), (a_run(), [receipt("update", 1, changes={"city": ["a", "b"]})]))
    assert report("undo", "in.jsonl", "-o", "out")[0] == 0
    before = {path: path.read_bytes() for path in Path("out").iterdir()}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in before)
    assert Path("out").stat().st_mode & 0o777 == 0o700
    code, _, complaint = report("undo", "in.jsonl", "-o", "out")
    assert (code, "is there already" in complaint) == (1, True)
    assert {path: path.read_bytes() for path in Path("out").iterdir()} == before


# A CRM as a dictionary, and a run of any operations on it.
fields = st.sampled_from(["city", "job_title", "email", "cf_text"])
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("update"), st.integers(1, 4), st.dictionaries(fields, st.sampled_from("xyz"), min_size=1)
        ),
        st.tuples(st.just("create"), st.just(0), st.dictionaries(fields, st.sampled_from("xyz"))),
        st.tuples(st.just("delete"), st.integers(1, 12), st.just({})),
        st.tuples(
            st.just("sync"),
            st.integers(1, 12),
            st.fixed_dictionaries({"companies": st.lists(st.integers(1, 3))}),
        ),
    ),
    max_size=12,
)


def carried_out(crm, steps):
    """Yield the receipts of steps, as they change the CRM."""
    for number, (operation, chosen, given_fields) in enumerate(steps):
        wanted = {n: sorted(set(new)) if n == "companies" else new for n, new in given_fields.items()}
        if operation == "create":
            contact_id = 5 + number
            crm[contact_id] = {"first_name": "New", **wanted}
            yield receipt(
                "create", contact_id, changes={name: [None, new] for name, new in crm[contact_id].items()}
            )
        elif chosen in crm and operation == "delete":
            yield receipt(
                "delete", chosen, changes={name: [old, None] for name, old in crm.pop(chosen).items()}
            )
        elif chosen in crm:
            empty = [] if operation == "sync" else None
            yield receipt(
                operation, chosen, changes={n: [crm[chosen].get(n, empty), new] for n, new in wanted.items()}
            )
            crm[chosen].update(wanted)


def without_empty(contact):
    return {name: value for name, value in contact.items() if value not in (None, [])}


@settings(derandomize=True, deadline=None, max_examples=300)
@given(steps)
def test_an_undo_leaves_what_was_before_whatever_the_run_did(steps):
    before = {
        number: {"first_name": f"P{number}", "city": "a", "companies": [number]} for number in range(1, 5)
    }
    crm = {number: dict(contact) for number, contact in before.items()}
    undo = undo_of(list(carried_out(crm, steps)), AT)
    returned = []
    for record, planned in zip(undo.records, undo.planned, strict=True):
        contact = crm.get(record.get("id"), {})
        assert all((contact.get(name) or None) == (old or None) for name, (old, _) in planned.changes.items())
        if planned.operation == "delete":
            del crm[record["id"]]
        elif planned.operation == "create":
            returned.append(record)
        else:
            contact.update({name: value for name, value in record.items() if name != "id"})
    expected = [without_empty(contact) for number, contact in before.items() if number not in crm]
    assert set(crm) <= set(before)
    assert {number: without_empty(contact) for number, contact in crm.items()} == {
        number: before[number] for number in crm
    }
    assert sorted(map(repr, map(sorted_items, returned))) == sorted(map(repr, map(sorted_items, expected)))
    assert undo_settings(undo)["max_deletes"] == sum(
        planned.operation == "delete" for planned in undo.planned
    )


def sorted_items(contact):
    return sorted(contact.items(), key=lambda item: item[0])
