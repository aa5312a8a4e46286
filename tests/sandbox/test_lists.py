"""Lists: order, ties, pages, fields."""

import pytest

APP_VERSION = "1.5"
TIED = "2026-05-01T00:00:00.000000Z"
NOW = "2026-06-01T08:00:00Z"


@pytest.fixture(scope="module")
def tied_ids():
    return list(range(1, 61))


@pytest.fixture
def tied(make_crm, tied_ids):
    """Sixty contacts that were all updated in the same second."""
    crm = make_crm(contacts=60)
    crm.sandbox.mutate(set={str(contact_id): {"updated_at": TIED} for contact_id in tied_ids})
    return crm


def test_fifteen_rows_are_a_page_and_a_hundred_at_most(make_crm):
    crm = make_crm(contacts=130)
    assert len(crm.ids()) == 15
    assert len(crm.ids(per_page=20)) == 20
    answer = crm.get("/contacts", per_page=1000).json()
    assert (len(answer["data"]), answer["meta"]["per_page"]) == (100, 100)


def test_meta_and_links_are_laravels(crm):
    answer = crm.get("/contacts", per_page=10, page=2, order="id").json()
    path = f"{crm.sandbox.url}/contacts"
    assert answer["meta"] == {
        "current_page": 2, "from": 11, "last_page": 3, "path": path, "per_page": 10, "to": 20, "total": 25,
    }  # fmt: skip
    assert set(answer["links"]) == {"first", "last", "prev", "next"}
    # Nothing of the query that was asked: whoever follows them loses order and size.
    assert answer["links"] == {
        "first": f"{path}?page=1", "last": f"{path}?page=3", "prev": f"{path}?page=1", "next": f"{path}?page=3",
    }  # fmt: skip


def test_past_the_last_page_there_is_no_row_and_no_error(crm):
    answer = crm.get("/contacts", page=99)
    assert answer.status_code == 200
    assert answer.json()["data"] == []
    assert (answer.json()["meta"]["from"], answer.json()["meta"]["total"]) == (None, 25)


@pytest.mark.parametrize("nonsense", ["0", "-1", "x", "", "1e3", "99999999999999999999"])
def test_a_page_that_is_no_number_is_the_first(crm, nonsense):
    assert crm.get("/contacts", page=nonsense).json()["meta"]["current_page"] == 1
    assert crm.get("/contacts", per_page=nonsense).json()["meta"]["per_page"] == 15


def test_the_default_order_is_by_first_name(crm):
    names = [row["first_name"].lower() for row in crm.get("/contacts", per_page=100).json()["data"]]
    assert names == sorted(names)
    assert names != sorted(names, reverse=True)


@pytest.mark.parametrize(
    "column", ["id", "created_at", "updated_at", "email", "last_name", "cf_loyalty_points"]
)
def test_any_column_orders_both_ways(crm, column):
    rows = crm.get("/contacts", per_page=100, order=column).json()["data"]
    values = [row[column] for row in rows if row[column] is not None]
    assert values == sorted(values, key=lambda value: value.lower() if isinstance(value, str) else value)
    down = [row[column] for row in crm.get("/contacts", per_page=100, order=f"{column}|desc").json()["data"]]
    assert [value for value in down if value is not None] == values[::-1]


@pytest.mark.parametrize(
    "query",
    [
        {"order": "password"},
        {"order": "phones"},
        {"order": "updated_at|sideways"},
        {"order[0][field]": "cf_nothing"},
        {"order[0][field]": "id", "order[0][direction]": "up"},
    ],
)
def test_an_unknown_column_or_direction_of_an_order_is_a_500(crm, query):
    assert crm.get("/contacts", **query).status_code == 500
    assert crm.get("/contacts/search", q="a", **query).status_code == 500


def test_an_array_of_orders_sorts_by_several_fields(tied, tied_ids):
    query = {
        "order[0][field]": "updated_at",
        "order[0][direction]": "desc",
        "order[1][field]": "id",
        "per_page": 100,
    }
    assert tied.ids(**query) == tied_ids
    assert tied.ids(**query, **{"order[1][direction]": "desc"}) == tied_ids[::-1]
    assert tied.walk(**{**query, "per_page": 7}) == tied_ids
    assert tied.ids(**{"order[field]": "id", "order[direction]": "desc"}, per_page=3) == [60, 59, 58]


def test_a_count_orders_too(crm):
    contact_id = crm.new(companies=[1, 2, 3])
    assert crm.ids(order="companies_count|desc", per_page=1) == [contact_id]
    rows = crm.get("/contacts", order="companies_count", per_page=100).json()["data"]
    assert [row["companies_count"] for row in rows] == sorted(row["companies_count"] for row in rows)


def test_ties_come_in_another_order_with_every_request(tied, tied_ids):
    orders = [tied.ids(order="updated_at", per_page=100) for _ in range(3)]
    assert orders[0] != orders[1] != orders[2]
    assert all(sorted(order) == tied_ids for order in orders)


def test_a_walk_through_a_tie_repeats_some_rows_and_loses_others(tied, tied_ids):
    walked = tied.walk(order="updated_at", per_page=20)
    assert len(walked) == 60
    assert set(walked) < set(tied_ids)


def test_a_walk_by_id_is_whole(tied, tied_ids):
    assert tied.walk(order="id", per_page=7) == tied_ids
    assert tied.walk(order="id|desc", per_page=7) == tied_ids[::-1]


def test_rows_without_a_moment_come_first_going_up_and_last_going_down(tied):
    tied.sandbox.mutate(set={"7": {"updated_at": None}, "9": {"updated_at": None}})
    assert set(tied.ids(order="updated_at", per_page=2)) == {7, 9}
    assert set(tied.ids(order="updated_at|desc", per_page=58, page=2)) == {7, 9}
    assert len(tied.walk(order="updated_at", per_page=2)) == 60


def test_a_delete_shifts_later_rows_left(crm):
    first = crm.ids(order="id", per_page=5)
    crm.delete(f"/contacts/{first[0]}")
    assert crm.ids(order="id", per_page=5, page=2)[0] == 7


def test_list_rows_have_no_associations_unless_they_are_asked_for(crm):
    contact_id = crm.new(companies=[1], deals=[2])
    row = crm.get("/contacts", order="id|desc", per_page=1).json()["data"][0]
    assert (row["id"], row["companies_count"]) == (contact_id, 1)
    assert not {"companies", "deals", "activities"} & set(row)
    query = {"order": "id|desc", "per_page": 1, "with": "companies;deals"}
    row = crm.get("/contacts", **query).json()["data"][0]
    assert [company["id"] for company in row["companies"]] == [1]
    assert [deal["id"] for deal in row["deals"]] == [2]
    crm.sandbox.settings(list_associations=False)
    assert "companies" not in crm.get("/contacts", **query).json()["data"][0]


def test_what_was_not_selected_is_still_a_key_without_a_value(crm):
    contact_id = crm.new(
        email="a@x.example", phones=[{"number": "+55 11 91"}], tags=["vip"], user_id=1, cf_loyalty_points=7,
        cf_credit_limit=2.5, cf_interests=[5], companies=[1],
    )  # fmt: skip
    whole = crm.get("/contacts", order="id|desc", per_page=1).json()["data"][0]
    row = crm.get("/contacts", order="id|desc", per_page=1, select="first_name;id").json()["data"][0]
    assert set(row) == set(whole)
    assert (row["id"], row["first_name"], row["display_name"]) == (contact_id, "Ana", "Ana")
    blank = ("email", "user_id", "user", "created_at", "updated_at", "cf_nickname", "guest_email")
    assert [row[name] for name in blank] == [None] * len(blank)
    assert (row["cf_loyalty_points"], row["cf_credit_limit"]) == (0, 0)
    there = ("phones", "tags", "companies_count", "cf_interests")
    assert [row[name] for name in there] == [whole[name] for name in there]
    assert all(row[name] for name in there)


@pytest.mark.parametrize(
    "names",
    ["first_name;nonsense", "first_name;phones", "first_name;tags", "first_name;companies", "first_name;user",
     "first_name;companies_count", "first_name;cf_interests", "first_name;display_name"],
)  # fmt: skip
def test_select_of_what_is_no_column_is_a_500(crm, names):
    assert crm.get("/contacts", select=names).status_code == 500
    assert crm.get("/contacts/search", q="a", select=names).status_code == 500


def test_select_without_the_column_of_the_display_name_is_a_500(crm):
    assert crm.get("/contacts", select="id;email").status_code == 500
    assert crm.get("/companies", select="id;email").status_code == 500
    assert crm.get("/contacts", select="id;first_name").status_code == 200


@pytest.mark.parametrize("path", ["/contacts", "/contacts/search", "/contacts/1", "/trashed/contacts"])
def test_with_of_what_there_is_not_is_a_500(crm, path):
    assert crm.get(path, **{"q": "a", "with": "companies;nonsense"}).status_code == 500
    known = {"with": "companies;deals;activities;notes;calls", "q": "a"}
    assert crm.get(path, **known).status_code == 200


def test_with_gives_list_rows_every_kind_of_association(crm):
    crm.new(companies=[1])
    query = {"order": "id|desc", "per_page": 1, "with": "companies;deals;activities;notes;calls"}
    row = crm.get("/contacts", **query).json()["data"][0]
    assert [company["id"] for company in row["companies"]] == [1]
    assert [row[name] for name in ("deals", "activities", "notes", "calls")] == [[]] * 4


def test_a_hidden_contact_is_in_no_list_and_refused_by_id(crm):
    crm.sandbox.mutate(hide=[5])
    assert 5 not in crm.ids(per_page=100)
    assert crm.get("/contacts/5").status_code == 403
    crm.sandbox.mutate(show=[5])
    assert crm.get("/contacts/5").status_code == 200


@pytest.mark.parametrize(
    ("envelope", "page_keys"),
    [
        ("standard", {"data", "links", "meta"}),
        ("wrapped", {"data", "links", "meta"}),
        ("unpaged", {"data"}),
    ],
)
def test_a_page_comes_in_the_envelope_that_was_chosen(with_switches, envelope, page_keys):
    assert set(with_switches(envelope=envelope).get("/contacts").json()) == page_keys


def test_the_flat_envelope_has_the_figures_beside_the_rows(with_switches):
    answer = with_switches(envelope="flat").get("/contacts").json()
    assert {"data", "current_page", "last_page", "per_page", "total", "next_page_url"} <= set(answer)
    assert "meta" not in answer


def test_the_bare_envelope_is_an_array(with_switches):
    assert len(with_switches(envelope="bare").get("/contacts").json()) == 15


def test_the_wrapped_envelope_wraps_single_contacts_and_searches(with_switches):
    crm = with_switches(envelope="wrapped")
    assert crm.get("/contacts/1").json()["data"]["id"] == 1
    assert crm.post("/contacts", first_name="Ana").json()["data"]["id"] == 26
    assert len(crm.get("/contacts/search", q="26", search_fields="id:=").json()["data"]) == 1


@pytest.mark.parametrize(("switch", "status"), [("refused", 422), ("failing", 500)])
def test_order_by_updated_at_can_be_refused(with_switches, switch, status):
    crm = with_switches(order_updated_at=switch)
    assert crm.get("/contacts", order="updated_at|desc").status_code == status
    assert crm.get("/contacts", order="id").status_code == 200


def test_per_page_can_be_ignored(with_switches):
    answer = with_switches(fixed_per_page=4).get("/contacts", per_page=100).json()
    assert (len(answer["data"]), answer["meta"]["per_page"]) == (4, 4)


def test_an_empty_decimal_reads_as_0_and_an_empty_integer_as_null(crm):
    row = crm.get(f"/contacts/{crm.new()}").json()
    assert (row["cf_lifetime_value"], row["cf_chinook_id"]) == (0, None)
    assert (row["cf_segment"], row["cf_tier"], row["cf_interests"]) == (None, None, [])


@pytest.mark.parametrize("name", ["companies", "deals", "activities"])
def test_neighbours_are_listed_searched_ordered_and_selected_in_the_same_form(crm, name):
    label = "title" if name == "activities" else "name"
    page = crm.get(f"/{name}", order="id|desc", per_page=2).json()
    assert [row["id"] for row in page["data"]] == [3, 2]
    assert page["meta"]["total"] == 3
    assert not {"contacts", "companies", "deals"} & set(page["data"][0])
    assert "contacts" in crm.get(f"/{name}", **{"with": "contacts"}).json()["data"][0]
    row = crm.get(f"/{name}", select=f"id;{label}").json()["data"][0]
    assert (row["updated_at"], row["user_id"]) == (None, None)
    needle = row[label]
    found = crm.get(f"/{name}/search", q=needle, search_fields=f"{label}:=").json()
    assert needle in [other[label] for other in found]
    assert "contacts" in found[0]
    assert crm.get(f"/{name}", order="nothing").status_code == 500
    assert crm.get(f"/{name}", **{"with": "nothing"}).status_code == 500


def test_every_count_that_a_contact_shows_can_be_ordered_by(crm):
    counts = [name for name in crm.get("/contacts/1").json() if name.endswith("_count")]
    assert len(counts) == 8
    for name in counts:
        rows = crm.get("/contacts", order=f"{name}|desc", per_page=100).json()["data"]
        values = [row[name] for row in rows]
        assert values == sorted(values, reverse=True), name


def test_a_count_leaves_out_what_is_in_the_trash(crm):
    contact_id = crm.new(companies=[1, 2])
    crm.delete("/companies/1")
    assert crm.get(f"/contacts/{contact_id}").json()["companies_count"] == 1
    assert crm.get("/contacts", order="companies_count|desc", per_page=1).status_code == 200
