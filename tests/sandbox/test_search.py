"""Search and filtered lists."""

import pytest

from appcrm_sandbox.app_version import VERSIONS


@pytest.fixture
def crm(with_switches):
    """A CRM of a version whose `in` takes any field."""
    return with_switches(app_version="1.6")


@pytest.fixture
def found(crm):
    """Searches for contacts and gives back their e-mails."""
    add_three(crm)

    def search(q, **query):
        answer = crm.get("/contacts/search", q=q, **query)
        assert answer.status_code == 200, answer.text
        return sorted(row["email"] for row in answer.json())

    return search


def add_three(crm):
    """Three contacts whose names and addresses overlap."""
    for name, email, number in (
        ("Zulmira", "zulmira@x.example", "+1 100"),
        ("Zoraide", "zoraide@y.example", "+1 200"),
        ("Zé", "Zulmira.Ze@x.example", "+1 300"),
    ):
        crm.new(first_name=name, last_name="Xavante", email=email, phones=[{"number": number}])


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
def test_take_and_order_shape_the_result(crm):
    answer = crm.get("/contacts/search", q="Xavante", take=2, order="id|desc").json()
    assert [row["email"] for row in answer] == ["Zulmira.Ze@x.example", "zoraide@y.example"]
    assert len(crm.get("/contacts/search", q="x", take="many").json()) > 3


def test_rows_of_a_search_carry_companies_and_deals_unasked(crm):
    crm.new(last_name="Xavante", companies=[1], deals=[2])
    row = crm.get("/contacts/search", q="Xavante").json()[0]
    assert [company["id"] for company in row["companies"]] == [1]
    assert [deal["id"] for deal in row["deals"]] == [2]
    assert "activities" not in row
    assert crm.get("/contacts/search", **{"q": "Xavante", "with": "activities"}).json()[0]["activities"] == []


@pytest.mark.usefixtures("found")
def test_a_list_is_filtered_in_the_same_way(crm):
    answer = crm.get("/contacts", q="x.example", search_fields="email:like", per_page=1).json()
    assert (answer["meta"]["total"], len(answer["data"])) == (2, 1)


UNSEARCHABLE = [
    "password", "updated_at", "created_at", "cf_birthday", "cf_interests", "tags", "tags.name", "phones.secret",
]  # fmt: skip


@pytest.mark.parametrize("field", UNSEARCHABLE)
def test_a_search_of_no_known_field_is_a_403_that_lists_what_may_be_searched(crm, field):
    answer = crm.get("/contacts/search", q="x", search_fields=f"{field}:=")
    assert answer.status_code == 403
    allowed = answer.json()["message"].partition(": ")[2].split(", ")
    assert {"id", "email", "phones.number", "user.name", "source.name", "country.name"} <= set(allowed)
    assert {"cf_nickname", "cf_loyalty_points", "cf_segment", "cf_newsletter"} <= set(allowed)
    assert not set(UNSEARCHABLE) & set(allowed)
    crm.sandbox.settings(unknown_search_field=500)
    assert crm.get("/contacts/search", q="x", search_fields=f"{field}:=").status_code == 500


def test_unknown_search_fields_among_known_ones_are_dropped(found):
    assert found("zoraide@y.example", search_fields="password:=;email:=;tags:=") == ["zoraide@y.example"]


def test_a_q_with_a_colon_is_read_as_fields_and_values(found):
    fields = "email:=;first_name:like"
    assert found("email:zoraide@y.example", search_fields=fields) == ["zoraide@y.example"]
    both = "email:zoraide@y.example;first_name:Zulmira"
    assert len(found(both, search_fields=fields)) == 2
    assert found(both, search_fields=fields, search_match="and") == []
    assert found("email:zoraide@y.example;password:x", search_fields=fields) == ["zoraide@y.example"]


@pytest.mark.parametrize("q", ["mailto:zoraide@y.example", "city:Recife", "x:", "a:b:c", "12:30"])
@pytest.mark.parametrize("path", ["/contacts", "/contacts/search", "/trashed/contacts", "/companies/search"])
def test_a_q_with_a_colon_that_names_no_searched_field_is_a_500(crm, q, path):
    assert crm.get(path, q=q, search_fields="email:=").status_code == 500


@pytest.mark.parametrize("q", [":zoraide@y.example", "https://y.example/zoraide", "http://y.example"])
def test_a_colon_in_front_and_a_url_are_one_text(found, q):
    assert found(q, search_fields="email:=") == []


def test_texts_are_searched_in_part_and_numbers_whole_by_default(crm, found):
    contact_id = crm.new(first_name="Yara", email="y@x.example", cf_loyalty_points=123_456)
    assert found("Zulm", search_fields="first_name") == ["zulmira@x.example"]
    assert found("123456", search_fields="cf_loyalty_points") == ["y@x.example"]
    assert found("2345", search_fields="cf_loyalty_points") == []
    assert found(str(contact_id), search_fields="id") == ["y@x.example"]


def test_a_custom_select_is_searched_by_its_options_label(crm, found):
    crm.new(email="y@x.example", last_name="Xavante", cf_segment=2)
    fields = {"search_fields": "cf_segment:=;last_name:=", "search_match": "and"}
    assert found("cf_segment:atacado;last_name:Xavante", **fields) == ["y@x.example"]
    assert found("cf_segment:2;last_name:Xavante", **fields) == []


@pytest.mark.parametrize(
    ("field", "name"), [("user.name", "Bruno Lima"), ("source.name", "Feira"), ("country.name", "Uruguai")]
)
def test_owners_sources_and_countries_are_searched_by_name(crm, field, name):
    contact_id = crm.new(user_id=2, source_id=3, country_id=31)
    found = crm.get("/contacts/search", q=name, search_fields=f"{field}:=").json()
    assert contact_id in [row["id"] for row in found]
    assert {row[field.partition(".")[0]]["name"] for row in found} == {name}


IDS = "3,5,7"
EMAILS = "zulmira@x.example,zoraide@y.example"


def _status_and_count(crm, fields, q):
    answer = crm.get("/contacts/search", q=q, search_fields=fields)
    return answer.status_code, len(answer.json()) if answer.status_code == 200 else None


@pytest.mark.parametrize(
    ("version", "emails", "ids", "one_id", "number"),
    [
        # No `in`: the field's default operator, so a text is looked for that nobody has.
        ("1.1", (200, 0), (200, 0), (200, 1), (200, 0)),
        # Any field of text, and a number only one at a time.
        ("1.5", (200, 2), (500, None), (200, 1), (500, None)),
        ("1.6", (200, 2), (500, None), (200, 1), (500, None)),
        # Only `id`: the field is dropped, so none is left.
        ("1.7", (403, None), (200, 3), (200, 1), (403, None)),
    ],
)
def test_in_takes_what_its_version_takes(with_switches, version, emails, ids, one_id, number):
    crm = with_switches(app_version=version)
    add_three(crm)
    assert _status_and_count(crm, "email:in", EMAILS) == emails
    assert _status_and_count(crm, "id:in", IDS) == ids
    assert _status_and_count(crm, "id:in", "3") == one_id
    assert _status_and_count(crm, "cf_loyalty_points:in", IDS) == number


@pytest.mark.parametrize("version", ["1.5", "1.6"])
def test_in_has_no_limit_on_the_number_of_its_values(with_switches, version):
    crm = with_switches(app_version=version)
    add_three(crm)
    strangers = ",".join(f"s{number}@x.example" for number in range(300))
    assert _status_and_count(crm, "email:in", f"{strangers},{EMAILS}") == (200, 2)


@pytest.mark.parametrize(
    ("version", "status", "count"), [("1.1", 200, 1), ("1.5", 200, 1), ("1.6", 200, 1), ("1.7", 403, None)]
)
def test_a_bad_operator_is_the_default_one_or_drops_the_field(with_switches, version, status, count):
    crm = with_switches(app_version=version)
    add_three(crm)
    assert _status_and_count(crm, "first_name:~", "oraid") == (status, count)
    assert _status_and_count(crm, "first_name:~;email:like", "oraide") == (200, 1)


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


@pytest.mark.parametrize("fields", ["email:=", "email:like", "email:in"])
def test_a_search_minds_no_case_beyond_ascii_either(crm, found, fields):
    crm.new(email="josé@x.example")
    assert found("JOSÉ@x.example", search_fields=fields) == ["josé@x.example"]
    assert found("jose@x.example", search_fields=fields) == []


def test_a_quote_in_a_search_is_only_a_quote(found):
    assert found("' OR 1=1 --") == []
    assert found("x') UNION SELECT 1 --", search_fields="email:in") == []


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_reads_a_colon_drops_unknown_fields_and_refuses_none(with_switches, version):
    crm = with_switches(app_version=version)
    add_three(crm)
    assert _status_and_count(crm, "email:=", "mailto:zoraide@y.example") == (500, None)
    assert _status_and_count(crm, "email:=", "email:zoraide@y.example") == (200, 1)
    assert _status_and_count(crm, "password:=;email:=", "zoraide@y.example") == (200, 1)
    assert _status_and_count(crm, "tags:like;cf_birthday:=", "x") == (403, None)
    assert _status_and_count(crm, "source.name", "Fei")[0] == 200
