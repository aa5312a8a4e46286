"""Search and filtered lists."""

import pytest


@pytest.fixture
def found(crm):
    """Searches for contacts and gives back their e-mails."""
    for name, email, number in (
        ("Zulmira", "zulmira@x.example", "+1 100"),
        ("Zoraide", "zoraide@y.example", "+1 200"),
        ("Zé", "Zulmira.Ze@x.example", "+1 300"),
    ):
        crm.new(first_name=name, last_name="Xavante", email=email, phones=[{"number": number}])

    def search(q, **query):
        answer = crm.get("/contacts/search", q=q, **query)
        assert answer.status_code == 200, answer.text
        return sorted(row["email"] for row in answer.json())

    return search


def test_an_empty_query_finds_nothing(crm):
    assert crm.get("/contacts/search", q="").json() == []
    assert crm.get("/contacts/search").json() == []
    assert crm.get("/contacts/search", q="  ").json() == []
    assert crm.get("/contacts", q="  ").json()["meta"]["total"] == 25


def test_blanks_around_a_query_do_not_count(found):
    assert found(" zulmira@x.example ", search_fields="email:=") == ["zulmira@x.example"]


def test_equals_is_exact_but_for_case(found):
    assert found("ZULMIRA@x.example", search_fields="email:=") == ["zulmira@x.example"]
    assert found("zulmira", search_fields="email:=") == []


def test_like_finds_parts(found):
    assert found("zulmira", search_fields="email:like") == ["Zulmira.Ze@x.example", "zulmira@x.example"]


def test_in_looks_up_many_at_once(found):
    emails = ["zulmira@x.example", "zoraide@y.example", "nobody@x.example"]
    assert found(",".join(emails), search_fields="email:in") == sorted(emails[:2])


def test_phones_are_searched_through_their_contacts(found):
    assert found("+1 200", search_fields="phones.number:=") == ["zoraide@y.example"]
    assert found("+1 100,+1 300", search_fields="phones.number:in") == [
        "Zulmira.Ze@x.example",
        "zulmira@x.example",
    ]


def test_one_field_is_enough_unless_all_must_match(found):
    fields = "email:like;first_name:like"
    assert found("Zulmira", search_fields=fields) == ["Zulmira.Ze@x.example", "zulmira@x.example"]
    assert found("Zulmira", search_fields=fields, search_match="and") == ["zulmira@x.example"]


def test_without_fields_names_addresses_and_phones_are_searched(found):
    assert len(found("Xavante")) == 3
    assert found("Zoraide Xavante") == ["zoraide@y.example"]
    assert found("+1 300") == ["Zulmira.Ze@x.example"]


@pytest.mark.usefixtures("found")
def test_take_and_order_and_select_shape_the_result(crm):
    answer = crm.get("/contacts/search", q="Xavante", take=2, order="id|desc", select="email").json()
    assert [set(row) for row in answer] == [{"id", "email"}] * 2
    assert [row["email"] for row in answer] == ["Zulmira.Ze@x.example", "zoraide@y.example"]


@pytest.mark.usefixtures("found")
def test_a_list_is_filtered_in_the_same_way(crm):
    answer = crm.get("/contacts", q="x.example", search_fields="email:like", per_page=1).json()
    assert (answer["meta"]["total"], len(answer["data"])) == (2, 1)


@pytest.mark.parametrize("field", ["password", "updated_at", "created_at", "cf_birthday", "phones.secret"])
def test_unknown_fields_and_dates_cannot_be_searched(crm, field):
    answer = crm.get("/contacts/search", q="x", search_fields=f"{field}:=")
    assert answer.status_code == 403
    assert "error" in answer.json()
    crm.sandbox.settings(unknown_search_field=500)
    assert crm.get("/contacts/search", q="x", search_fields=f"{field}:=").status_code == 500


@pytest.mark.usefixtures("found")
def test_the_operator_in_can_be_refused_or_ignored(crm):
    query = {"q": "zulmira@x.example,zoraide@y.example", "search_fields": "email:in"}
    crm.sandbox.settings(search_in="refused")
    assert crm.get("/contacts/search", **query).status_code == 500
    crm.sandbox.settings(search_in="ignored")
    assert crm.get("/contacts/search", **query).json() == []


def test_searches_can_mind_case(crm, found):
    everywhere = ("=", "like", "in")
    assert all(found("ZULMIRA@x.example", search_fields=f"email:{operator}") for operator in everywhere)
    crm.sandbox.settings(search_minds_case=True)
    assert not any(found("ZULMIRA@x.example", search_fields=f"email:{operator}") for operator in everywhere)
    assert all(found("zulmira@x.example", search_fields=f"email:{operator}") for operator in everywhere)


def test_a_quote_in_a_search_is_only_a_quote(found):
    assert found("' OR 1=1 --") == []
    assert found("x') UNION SELECT 1 --", search_fields="email:in") == []
