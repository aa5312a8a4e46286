"""Contacts that are matched by another key may exchange their e-mail addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_appcrm.write.email_swap import Move, are_swapped, next_of


@given(st.integers(2, 7).flatmap(lambda n: st.tuples(st.permutations(range(n)), st.permutations(range(n)))))
def test_any_exchange_of_addresses_is_carried_out_without_one_that_is_taken(exchange):
    wanted, order = exchange
    known = {number: {"id": number, "email": f"a{number}@x.io"} for number in range(len(wanted))}
    moves = [Move(number, f"a{wanted[number]}@x.io") for number in order]
    steps = 0
    while moves:
        position, must_let_go = next_of(moves, known)
        steps += 1
        if must_let_go:
            known[moves[position].contact_id]["email"] = None
            continue
        move = moves.pop(position)
        taken = {row["email"] for row in known.values() if row["id"] != move.contact_id}
        assert move.address not in taken
        known[move.contact_id]["email"] = move.address
    assert [known[number]["email"] for number in range(len(wanted))] == [f"a{n}@x.io" for n in wanted]
    assert steps <= len(wanted) + len(wanted) // 2


@given(st.lists(st.tuples(st.none() | st.integers(0, 3), st.none() | st.integers(0, 5)), max_size=12))
def test_records_of_one_contact_keep_their_order_and_each_comes_once(wishes):
    known = {number: {"id": number, "email": f"a{number}@x.io"} for number in range(4)}
    left = [(at, Move(c, None if a is None else f"a{a}@x.io")) for at, (c, a) in enumerate(wishes)]
    done = []
    while left:
        position, must_let_go = next_of([move for _, move in left], known)
        if must_let_go:
            known[left[position][1].contact_id]["email"] = None
            continue
        at, move = left.pop(position)
        done.append((at, move.contact_id))
        if move.contact_id is not None and move.address is not None:
            known[move.contact_id]["email"] = move.address
    for contact in (None, 0, 1, 2, 3):
        assert [at for at, c in done if c == contact] == sorted(at for at, c in done if c == contact)


def test_an_address_of_ones_own_or_of_nobody_is_not_handed_over():
    known = {1: {"id": 1, "email": "A@x.io"}}
    assert not are_swapped([Move(1, "a@x.io"), Move(1, "new@x.io"), Move(None, None)], known)
    assert are_swapped([Move(None, "a@x.io")], known)


@pytest.fixture
def three(crm, run, person, singer):
    run(crm, singer(*(person(n) for n in range(3))), concurrency=1)
    return [row["id"] for row in crm.contacts()]


def exchanged(person, ids, targets):
    return [person(n, id=ids[n], email=f"person{target}@example.com") for n, target in enumerate(targets)]


def decided(receipt):
    return str((receipt["key"], receipt["operation"], receipt["changes"]))


@pytest.mark.parametrize("targets", [(1, 0, 2), (1, 2, 0), (2, 0, 1), (1, 2, 9)])
def test_contacts_matched_by_id_exchange_their_addresses_and_a_dry_run_says_so(
    crm, run, person, singer, three, targets
):
    lines = singer(*exchanged(person, three, targets), keys=["id"])
    planned = run(crm, lines, match_on=["id"], dry_run=True)
    ran = run(crm, lines, match_on=["id"])
    assert (ran.code, ran.operations["reject"]) == (0, 0), ran.errors
    assert [row["email"] for row in crm.contacts()] == [f"person{n}@example.com" for n in targets]
    assert sorted(map(decided, planned.receipts)) == sorted(map(decided, ran.receipts))
    assert run(crm, lines, match_on=["id"]).operations == {"unchanged": 3}


def test_where_one_of_two_is_refused_neither_loses_its_address(crm, run, person, singer, three):
    one, two = exchanged(person, three, (1, 0))
    ran = run(crm, singer(one, two | {"city": "x" * 500}, keys=["id"]), match_on=["id"])
    assert (ran.code, ran.operations["reject"]) == (1, 2)
    assert [row["email"] for row in crm.contacts()][:2] == ["person0@example.com", "person1@example.com"]


def test_matched_by_address_too_an_exchange_stays_ambiguous(crm, run, person, singer, three):
    lines = singer(*exchanged(person, three, (1, 0)), keys=["id"])
    ran = run(crm, lines, match_on=["id", "email"])
    assert ran.operations == {"reject": 2}
    assert all("set match_on" in receipt["reason"] for receipt in ran.receipts)
