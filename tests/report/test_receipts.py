"""The format of receipts and runs: what is written is read back, and what was not written so is refused."""

import contextlib
import dataclasses
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appcrm.receipt_reader import NotReceipts, ReceiptsError, ReceiptsFile
from appcrm.receipts import (
    DECIDING_SETTINGS,
    OPERATIONS,
    RECEIPTS,
    RUNS,
    Receipt,
    ReceiptWriter,
    Run,
    as_record,
    schema_message,
    settings_hash,
)
from target_appcrm.settings import settings_schema

AT = "2026-06-01T08:00:00.000000Z"
fixed = settings(derandomize=True, deadline=None, max_examples=60)

texts = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
receipts = st.builds(
    Receipt,
    stream=texts,
    operation=st.sampled_from(OPERATIONS),
    at=st.just(AT),
    key=st.none() | st.dictionaries(texts, values, max_size=2),
    contact_id=st.none() | st.integers(),
    changes=st.none() | st.dictionaries(texts, st.lists(values, min_size=2, max_size=2), max_size=3),
    reason=st.none() | texts,
    status=st.none() | st.integers(),
    record_number=st.none() | st.integers(),
)


def a_run(run_id="r1", **facts):
    return Run(run_id, AT, "https://acme.example/api", **facts)


def written(receipts_of_runs, *, ended=True):
    """The bytes of a file with these runs."""
    lines = []
    for run_id, each in receipts_of_runs.items():
        run = a_run(run_id)
        writer = ReceiptWriter(lines.append, run)
        for receipt in each:
            writer.write(receipt)
        if ended:
            writer.end(dataclasses.replace(run, ended_at=AT, waited_seconds=1.25, exit_code=0))
    return b"".join(lines)


def some(count, **facts):
    return [
        Receipt("contacts", "update", AT, contact_id=i, changes={"city": [f"a{i}", "b"]}, **facts)
        for i in range(count)
    ]


@pytest.fixture
def file_of(tmp_path):
    def make(content):
        path = tmp_path / "receipts.jsonl"
        path.write_bytes(content)
        return str(path)

    return make


def _read_back(path):
    with ReceiptsFile(path) as file:
        return {each.run.run_id: list(file.receipts(each)) for each in file.runs}, file.runs


@fixed
@given(st.dictionaries(st.sampled_from("abc"), st.lists(receipts, max_size=4), min_size=1))
def test_what_is_written_is_read_back_sealed_and_numbered(tmp_path_factory, runs):
    path = tmp_path_factory.getbasetemp() / "roundtrip.jsonl"
    path.write_bytes(written(runs))
    found, in_file = _read_back(str(path))
    assert [each.why_not_whole() for each in in_file] == [None] * len(runs)
    assert found == {
        run_id: [dataclasses.replace(each, run_id=run_id, n=n) for n, each in enumerate(given_receipts, 1)]
        for run_id, given_receipts in runs.items()
    }


@fixed
@given(st.data())
def test_a_changed_lost_doubled_or_moved_line_breaks_the_seal_or_is_refused(tmp_path_factory, data):
    lines = written({"r1": some(4)}).splitlines(keepends=True)
    body = range(2, len(lines))
    kind = data.draw(st.sampled_from(["edit", "lose", "double", "swap"]))
    at = data.draw(st.sampled_from(body))
    if kind == "edit":
        old, new = data.draw(st.sampled_from([(b'"b"', b'"c"'), (b"08:00", b"09:00"), (b"acme", b"amce")]))
        edited = [line.replace(old, new) if n == at else line for n, line in enumerate(lines)]
    elif kind == "lose":
        edited = [line for n, line in enumerate(lines) if n != at]
    elif kind == "double":
        edited = [*lines[: at + 1], *lines[at:]]
    else:
        other = data.draw(st.sampled_from([n for n in body if n != at]))
        edited = list(lines)
        edited[at], edited[other] = lines[other], lines[at]
    # The start record says the same as the end record, which the seal covers.
    if edited == lines or (kind == "edit" and at == 2):
        return
    path = tmp_path_factory.getbasetemp() / "edited.jsonl"
    path.write_bytes(b"".join(edited))
    with contextlib.suppress(ReceiptsError), ReceiptsFile(str(path)) as file:
        assert file.last_run.why_not_whole() is not None


@fixed
@given(st.integers(min_value=1, max_value=5000))
def test_a_file_cut_at_any_byte_is_never_taken_for_whole(tmp_path_factory, cut):
    content = written({"r1": some(5)})
    path = tmp_path_factory.getbasetemp() / "cut.jsonl"
    # Only the last newline may go without a loss.
    path.write_bytes(content[: max(0, len(content) - 1 - cut)])
    with contextlib.suppress(NotReceipts), ReceiptsFile(str(path)) as file:
        assert "no end record" in file.last_run.why_not_whole()


def test_the_half_line_of_a_killed_run_does_not_hide_the_runs_after_it(file_of):
    killed = written({"killed": some(3)}, ended=False)[:-20]
    runs, in_file = _read_back(file_of(killed + b"\n" + written({"next": some(2)})))
    assert {run_id: len(each) for run_id, each in runs.items()} == {"killed": 2, "next": 2}
    assert "never" not in (in_file[1].why_not_whole() or "")
    assert "no end record" in in_file[0].why_not_whole()


def test_runs_that_wrote_at_the_same_time_are_told_apart(file_of):
    lines, run_a, run_b = [], a_run("a"), a_run("b")
    first, second = ReceiptWriter(lines.append, run_a), ReceiptWriter(lines.append, run_b)
    for receipt in some(3):
        first.write(receipt)
        second.write(receipt)
    second.end(dataclasses.replace(run_b, ended_at=AT))
    first.end(dataclasses.replace(run_a, ended_at=AT))
    runs, in_file = _read_back(file_of(b"".join(lines)))
    assert [each.why_not_whole() for each in in_file] == [None, None]
    assert [len(each) for each in runs.values()] == [3, 3]


def test_a_bom_blank_lines_and_windows_line_ends_are_taken(file_of):
    content = b"\xef\xbb\xbf" + written({"r1": some(2)}).replace(b"\n", b"\r\n\r\n")
    runs, in_file = _read_back(file_of(content))
    assert len(runs["r1"]) == 2
    assert in_file[0].why_not_whole() is None


def test_receipts_of_before_there_were_runs_do_not_hide_those_of_new_runs(file_of):
    old = json.dumps(
        {"type": "RECORD", "stream": RECEIPTS, "record": {"stream": "contacts", "operation": "update"}}
    )
    with ReceiptsFile(file_of(old.encode() + b"\n" + written({"r1": some(2)}))) as file:
        assert file.old_receipts == 1
        assert file.last_run.receipts == 2
    with pytest.raises(ReceiptsError, match="older version"):
        ReceiptsFile(file_of(old.encode() + b"\n"))


def test_what_no_text_can_hold_is_written_all_the_same(file_of):
    odd = Receipt(
        "contacts", "update", AT, changes={"city": ["\ud800", "ok"], "cf_n": [Decimal("1.50"), float("nan")]}
    )
    runs, in_file = _read_back(file_of(written({"r1": [odd]})))
    assert in_file[0].why_not_whole() is None
    assert runs["r1"][0].changes == {"city": ["\ud800", "ok"], "cf_n": [1.5, None]}


@pytest.mark.parametrize(
    ("content", "word", "kind"),
    [
        (b"", "empty", NotReceipts),
        (b"\n \n", "empty", NotReceipts),
        (b"hello", "line 1 is broken", NotReceipts),
        (b'{"type":"SCHEMA"', "line 1 is broken", NotReceipts),
        (b"[1]\n", "line 1 is broken", NotReceipts),
        (b'{"type":"RECORD","stream":"contacts","record":{}}\n', "'contacts'", NotReceipts),
        (b'{"type":"RECORD","stream":["x"],"record":{}}\n', "a record of", NotReceipts),
        (b'{"stream":"contacts","mode":"backfill"}\n', "no receipt", NotReceipts),
        (b'{"type":"SCHEMA","stream":"contacts"}\n', "no run", NotReceipts),
        ("{}".encode("utf-16"), "UTF-16", NotReceipts),
        (b"[" * 100_000, "broken", NotReceipts),
        (written({"r1": []}) + b"x\ny\n", "line 5 is broken", ReceiptsError),
        (written({"r1": some(1)}).replace(b'"update"', b'"upgrade"'), "line 4 is broken", ReceiptsError),
        (written({"r1": some(1)}).replace(b'["a0","b"]', b'"a0"'), "line 4 is broken", ReceiptsError),
        (written({"r1": some(1)}).replace(b'"contact_id":0', b'"contact_id":"0"'), "line 4", ReceiptsError),
        (written({"r1": []}).replace(AT.encode(), b"yesterday"), "line 3 is broken", ReceiptsError),
        (written({"r1": []}).replace(b'"format_version":1', b'"format_version":2'), "newer", ReceiptsError),
        (written({"r1": some(1)}) * 2, "line 7 begins|had ended|twice", ReceiptsError),
        (b"".join(written({"r1": some(1)}).splitlines(keepends=True)[3:]), "start is missing", ReceiptsError),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_one_sentence_with_its_name(file_of, content, word, kind):
    path = file_of(content)
    with pytest.raises(kind, match=word) as caught:
        ReceiptsFile(path)
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["missing.jsonl", ".", "/dev/null", "a\0b"])
def test_a_path_that_is_no_plain_file_is_one_sentence(path):
    with pytest.raises(ReceiptsError):
        ReceiptsFile(path)


def test_reading_holds_no_more_than_one_receipt(file_of):
    path = file_of(written({"r1": some(3)}))
    with ReceiptsFile(path) as file:
        receipts_of_run = file.receipts(file.last_run)
        assert next(receipts_of_run).n == 1
        assert next(receipts_of_run).n == 2


def test_a_file_that_shrank_after_it_was_opened_is_told(file_of):
    path = file_of(written({"r1": some(3)}))
    with ReceiptsFile(path) as file, Path(path).open("r+b") as other:
        other.truncate(len(written({"r1": []}, ended=False)))
        with pytest.raises(ReceiptsError, match="changed while"):
            list(file.receipts(file.last_run))


@pytest.mark.parametrize(("stream", "item"), [(RECEIPTS, Receipt("s", "create", AT)), (RUNS, a_run())])
def test_schema_and_record_have_the_same_fields_and_nothing_nested_but_objects(stream, item):
    message = schema_message(stream)
    assert set(message["schema"]["properties"]) == set(as_record(item))
    assert set(message["key_properties"]) <= set(as_record(item))
    for name, schema in message["schema"]["properties"].items():
        assert "array" not in schema["type"], name


def test_the_settings_that_decide_have_the_targets_own_defaults():
    for name, default in DECIDING_SETTINGS.items():
        schema = settings_schema()["properties"].get(name)
        # Those that the target does not know yet are the ones that are about to come.
        if schema is not None and "default" in schema:
            assert schema["default"] == default, name


choices = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.sampled_from(["upsert", "create_only"]),
        "match_on": st.permutations(["email", "id"]),
        "custom_fields": st.permutations(["a", "b"]),
        "field_policy": st.dictionaries(st.sampled_from("xy"), st.sampled_from(["never", "always"])),
        "stream_maps": st.none() | st.just({"raw": {"__alias__": "contacts"}}),
        "allow_deletes": st.booleans(),
    },
)


@fixed
@given(choices, choices)
def test_the_hash_of_settings_is_equal_exactly_where_they_decide_alike(one, other):
    def effective(given):
        filled = {name: given.get(name) or default for name, default in DECIDING_SETTINGS.items()}
        return {**filled, "custom_fields": sorted(filled["custom_fields"])}

    same = effective(one) == effective(other)
    assert (settings_hash(one) == settings_hash(other)) is same


def test_the_hash_of_settings_knows_only_what_decides():
    plain = settings_hash({})
    assert (
        settings_hash({"auth_token": "x", "concurrency": 3, "plan_path": "p", "match_on": ("email",)})
        == plain
    )
    assert settings_hash({"custom_fields": frozenset({"b", "a"})}) == settings_hash(
        {"custom_fields": ["a", "b"]}
    )
    assert settings_hash(dict(reversed(DECIDING_SETTINGS.items()))) == plain
