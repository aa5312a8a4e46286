"""Whatever a tap sends is taken or refused in one clear sentence."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from target_appcrm.errors import InputError
from target_appcrm.read.message_reader import LineReader

FREE = {"type": "object", "properties": {}}


def last_line(ran):
    return ran.errors.strip().splitlines()[-1]


def test_an_unknown_stream_fails_and_names_the_alias_that_would_bind_it(crm, run, person, singer):
    ran = run(crm, singer(person(1), stream="raw-contacts"))
    assert ran.code == 1
    assert '{"raw-contacts": {"__alias__": "contacts"}}' in last_line(ran)


def test_that_alias_binds_it_and_a_map_renames_fields(crm, run, singer):
    lines = singer(
        {"mail": "a@example.com", "given": "Ana"},
        stream="raw-contacts",
        schema={
            "type": "object",
            "properties": {"mail": {"type": "string"}, "given": {"type": "string"}},
        },
        keys=["mail"],
    )
    maps = {
        "raw-contacts": {
            "__alias__": "contacts",
            "email": "mail",
            "first_name": "given",
            "__key_properties__": ["email"],
            "__else__": None,
        }
    }
    ran = run(crm, lines, stream_maps=maps)
    assert ran.code == 0, ran.errors[-2000:]
    assert crm.find("a@example.com")["first_name"] == "Ana"


MAP_OF_A_SHOP = {
    "__alias__": "contacts",
    "__key_properties__": ["email"],
    "email": "mail.lower()",
    "first_name": "given.strip()",
    "phones": "[{'number': phone, 'type': 'work'}] if phone else []",
    "tags": "[tag.strip() for tag in tags.split(',')] if tags else []",
    "companies": "[company] if company else []",
    "cf_score": "score * 1.5 if score else None",
    "__else__": None,
}


def test_a_map_makes_lists_and_numbers_out_of_columns(appcrm_sandbox_factory, run, singer):
    crm = appcrm_sandbox_factory(contacts=0, custom_fields=["cf_score:decimal"])
    text, integer = {"type": ["string", "null"]}, {"type": ["integer", "null"]}
    columns = dict.fromkeys(("mail", "given", "phone", "tags"), text) | dict.fromkeys(
        ("company", "score"), integer
    )
    rows = [
        {
            "mail": "A@x.com",
            "given": " Ana ",
            "phone": "+55 1",
            "tags": "a, b",
            "company": 2,
            "score": 3,
        },
        {"mail": "b@x.com", "given": "Bo", "phone": None, "tags": None, "company": None, "score": None},
    ]
    lines = singer(*rows, stream="shop", schema={"type": "object", "properties": columns}, keys=["mail"])
    ran = run(crm, lines, stream_maps={"shop": MAP_OF_A_SHOP})
    assert ran.code == 0, ran.errors[-2000:]
    ana, bo = crm.find("a@x.com"), crm.find("b@x.com")
    assert (ana["first_name"], ana["tags"], ana["companies"]) == ("Ana", ["a", "b"], [2])
    assert ana["phones"] == [{"number": "+55 1", "type": "work"}]
    assert float(ana["cf_score"]) == 4.5
    assert (bo["phones"], bo["tags"], bo["companies"]) == ([], [], [])


def test_a_value_that_a_map_makes_is_still_held_to_what_a_contact_can_hold(crm, run, person, singer):
    ran = run(crm, singer(person(1)), stream_maps={"contacts": {"phones": "'no list'"}})
    assert ran.code == 1
    assert "phones" in ran.receipts[0]["reason"]


def test_a_record_before_its_schema_is_refused(crm, run, person):
    ran = run(crm, json.dumps({"type": "RECORD", "stream": "contacts", "record": person(1)}) + "\n")
    assert ran.code == 1
    assert "before its SCHEMA" in last_line(ran)


@pytest.mark.parametrize(
    "bad",
    [
        b"{secret person",
        b'{"type": "NOPE"}',
        b'{"no": "type"}',
        b"[]",
        b"7",
        b'{"type": "RECORD", "stream": "contacts"}',
        b'{"type": "RECORD", "stream": "contacts", "record": []}',
        b'{"type": "SCHEMA", "stream": "contacts", "schema": {}}',
        b"\xff\xfe",
    ],
    ids=str,
)
def test_a_line_that_is_no_message_ends_the_run_by_its_number_and_what_came_before_is_kept(
    crm, run, person, singer, bad
):
    ran = run(crm, singer(person(1), state={"n": 1}).encode() + bad + b"\n" + singer(person(2)).encode())
    assert ran.code == 1
    assert ran.states == [{"n": 1}]
    assert [contact["email"] for contact in crm.contacts()] == ["person1@example.com"]
    assert "line 4" in last_line(ran)
    assert "secret" not in ran.errors
    assert "Traceback" not in ran.errors


def test_odd_values_are_written_or_refused_one_by_one(crm, run, person, singer):
    records = [
        person(1, last_name="x" * 200_000),
        person(2, first_name="Zoë 😀"),
        person(3, last_name="a\x00b"),
        person(4, cf_lifetime_value=0.1),
        person(5, last_name={"deep": {"er": 1}}),
        person(6, tags='["from", "a warehouse"]'),
        person(7, phones="not a list"),
    ]
    ran = run(crm, singer(*records, schema=FREE))
    refused = {receipt["key"]["email"] for receipt in ran.receipts if receipt["operation"] == "reject"}
    assert {"person3@example.com", "person5@example.com", "person7@example.com"} <= refused
    assert crm.find("person2@example.com")["first_name"] == "Zoë 😀"
    assert crm.find("person6@example.com")["tags"] == ["from", "a warehouse"]
    assert "Traceback" not in ran.errors


def test_a_schema_that_changes_in_mid_stream_reorders_and_loses_nothing(crm, run, person, singer):
    wider = {"type": "object", "properties": {"email": {"type": "string"}, "city": {"type": "string"}}}
    lines = (
        singer(*(person(n, city="old") for n in range(40)), state={"n": 1})
        + singer(*(person(n, city="new") for n in range(40)), schema=wider, state={"n": 2})
        + singer(person(99), state={"n": 3})
    )
    ran = run(crm, lines)
    assert (ran.code, ran.states[-1]) == (0, {"n": 3})
    cities = {contact["email"]: contact["city"] for contact in crm.contacts()}
    assert cities == {person(n)["email"]: "new" for n in range(40)} | {person(99)["email"]: None}
    assert len(crm.contacts()) == 41


@pytest.mark.parametrize("lines", ["", "\n", '{"type": "STATE", "value": {"n": 0}}\n'])
def test_an_empty_input_is_no_error(crm, run, lines):
    ran = run(crm, lines)
    assert (ran.code, sum(ran.requests.values())) == (0, 0)


def test_an_empty_stream_asks_the_crm_nothing(crm, run, singer):
    ran = run(crm, singer(state={"n": 0}))
    assert (ran.code, ran.states, sum(ran.requests.values())) == (0, [{"n": 0}], 0)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("mode", "oops"),
        ("match_on", ["nope"]),
        ("match_on", []),
        ("max_deletes", "lots"),
        ("max_rejects", -1),
        ("associations", "merge"),
        ("null_handling", "drop"),
        ("api_url", "http://example.com/api"),
        ("api_url", 5),
        ("auth_token", ""),
        ("stream_maps", 5),
        ("stream_maps", {"contacts": {"city": "oops(("}}),
        ("concurrency", 0),
        ("dry_run", "perhaps"),
    ],
)
def test_a_setting_that_cannot_work_is_named_in_the_last_line(crm, run, person, singer, setting, value):
    ran = run(crm, singer(person(1)), **{setting: value})
    assert ran.code == 1
    assert setting in last_line(ran)
    assert crm.contacts() == []


def test_a_name_of_the_sdk_that_does_nothing_here_is_a_warning(crm, run, person, singer):
    ran = run(
        crm,
        singer(person(1)),
        validate_records=True,
        add_record_metadata=False,
        flattening_enabled=False,
        stream_maps={"contacts": {"city": "'Recife'"}},
    )
    assert ran.code == 0
    assert "do nothing in this target: add_record_metadata\n" in ran.errors


@pytest.mark.parametrize(("name", "meant"), [("dryrun", "dry_run"), ("max_reject", "max_rejects")])
def test_a_setting_that_nobody_knows_stops_the_run_and_names_the_nearest(
    crm, run, person, singer, name, meant
):
    ran = run(crm, singer(person(1)), **{name: True})
    assert (ran.code, sum(ran.requests.values())) == (1, 0)
    assert f"did you mean {meant}?" in last_line(ran)


def test_a_wrong_token_is_never_shown(crm, run, person, singer):
    ran = run(crm, singer(person(1), state={"n": 1}), auth_token="wrong-secret-token")
    assert (ran.code, ran.states) == (1, [])
    assert "auth_token" in last_line(ran)
    assert "wrong-secret-token" not in ran.errors


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text()
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(["type", "stream", "schema", "record", "value", "properties"]), x
            )
        ),
    ).map(json.dumps)
)
def test_any_line_is_a_message_or_an_input_error(tmp_path, line):
    path = tmp_path / "lines"
    path.write_text(line.replace("\r", "").partition("\n")[0] + "\n", encoding="utf-8", errors="replace")
    taken = []
    with path.open(encoding="utf-8") as lines:
        callbacks = dict.fromkeys(("SCHEMA", "RECORD", "STATE", "ACTIVATE_VERSION", "BATCH"), taken.append)
        try:
            LineReader().process_lines(lines, callbacks)
        except InputError as error:
            said = str(error)
        else:
            said = "line 1"
    assert "line 1" in said
