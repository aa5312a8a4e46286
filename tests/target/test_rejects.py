"""Refused records hold nothing up, and are kept where a person can find and mend them."""

from __future__ import annotations


def test_a_rejected_record_does_not_hold_back_state(crm, run, person, singer):
    ran = run(crm, singer(person(1), person(2, first_name=None), person(3), state={"n": 3}))
    assert (ran.code, ran.states) == (1, [{"n": 3}])
    assert ran.operations == {"create": 2, "reject": 1}
    assert [record["email"] for record in ran.rejects] == ["person2@example.com"]


def test_the_rejects_file_can_be_mended_and_piped_back_in(crm, run, person, singer):
    ran = run(crm, singer(person(1), person(2, first_name=None, tags=["vip"])))
    mended = ran.rejects_path.read_text(encoding="utf-8").replace('"first_name":null', '"first_name":"Bia"')
    again = run(crm, mended)
    assert (again.code, again.operations) == (0, {"create": 1})
    assert crm.find("person2@example.com")["tags"] == ["vip"]


def test_without_a_reject_there_is_no_file(crm, run, person, singer):
    assert not run(crm, singer(person(1))).rejects_path.exists()


def test_an_existing_rejects_file_is_appended_to(crm, run, person, singer, tmp_path):
    path = tmp_path / "kept.singer.jsonl"
    path.write_text('{"half a line', encoding="utf-8")
    run(crm, singer(person(1, first_name=None)), rejects_path=str(path))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == '{"half a line'
    assert len(lines) == 3


def test_up_to_max_rejects_the_run_succeeds(crm, run, person, singer):
    lines = singer(*(person(n, first_name=None) for n in range(5)), *(person(n) for n in range(5, 100)))
    assert run(crm, lines, max_rejects=5).code == 0
    assert run(crm, lines, max_rejects="5%").code == 0
    assert run(crm, lines, max_rejects="4%").code == 1


def test_the_run_stops_at_rejects_only_when_told_to(crm, run, person, singer):
    bad = [person(n, first_name=None) for n in range(1_500)]
    ran = run(crm, singer(*bad, person(9_999)), stop_on_rejects=True, max_rejects=3)
    assert ran.code == 1
    assert len(crm.contacts()) == 0
    assert "stop_on_rejects" in ran.errors
    assert run(crm, singer(*bad, person(9_999))).operations["create"] == 1


def test_the_summary_groups_rejects_by_cause_and_names_five_of_each(crm, run, person, singer):
    ran = run(crm, singer(*(person(n, first_name=None) for n in range(9)), person(50, user_id="me")))
    (line,) = [line for line in ran.errors.splitlines() if "9 rejected" in line]
    assert line.count("email=") == 5
    assert "4 more" in line
    assert "Last1" not in ran.errors


def test_a_record_that_does_not_fit_its_schema_is_refused_alone(crm, run, person, singer):
    ran = run(crm, singer(person(1), {**person(2), "city": {"name": "Recife"}}, person(3)))
    assert ran.operations == {"create": 2, "reject": 1}


def test_a_403_on_one_contact_refuses_that_record_and_a_403_on_a_search_stops_the_run(
    crm, run, person, singer
):
    run(crm, singer(person(1), person(2)))
    number = crm.find("person1@example.com")["id"]
    crm.faults(
        {"operation": "update", "path": f"/contacts/{number}$", "status": 403, "body": {"error": "não"}}
    )
    ran = run(crm, singer(person(1, city="x"), person(2, city="x")))
    assert (ran.code, ran.operations) == (1, {"reject": 1, "update": 1})
    crm.clear_faults()
    crm.faults({"operation": ["search", "list"], "status": 403, "body": {"error": "não"}})
    ran = run(crm, singer(person(1, city="y"), state={"n": 1}))
    assert (ran.code, ran.states, len(ran.receipts)) == (1, [], 0)


def test_a_rejects_path_that_cannot_be_written_is_told_before_anything_is_sent(
    crm, run, person, singer, tmp_path
):
    (tmp_path / "file").write_text("", encoding="utf-8")
    ran = run(crm, singer(person(1)), rejects_path=str(tmp_path / "file" / "rejects.jsonl"))
    assert (ran.code, sum(ran.requests.values())) == (1, 0)
    assert "rejects_path" in ran.errors.strip().splitlines()[-1]
