"""Lists: order, ties, pages, fields."""

import pytest

TIED = "2026-05-01T00:00:00.000000Z"


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
    assert answer["links"]["next"].startswith(f"{path}?")
    assert crm.session.get(answer["links"]["next"], timeout=10).json()["meta"]["current_page"] == 3


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


def test_an_unknown_order_is_refused(crm):
    assert crm.get("/contacts", order="password").status_code == 422


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


def test_select_shows_what_it_names_and_the_id(crm):
    rows = crm.get("/contacts", select="first_name;email").json()["data"]
    assert all(set(row) == {"id", "first_name", "email"} for row in rows)
    rows = crm.get("/contacts", select="id;phones;tags;nonsense").json()["data"]
    assert all(set(row) == {"id", "phones", "tags"} for row in rows)


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
def test_a_page_comes_in_the_envelope_that_was_chosen(make_crm, envelope, page_keys):
    assert set(make_crm(envelope=envelope).get("/contacts").json()) == page_keys


def test_the_flat_envelope_has_the_figures_beside_the_rows(make_crm):
    answer = make_crm(envelope="flat").get("/contacts").json()
    assert {"data", "current_page", "last_page", "per_page", "total", "next_page_url"} <= set(answer)
    assert "meta" not in answer


def test_the_bare_envelope_is_an_array(make_crm):
    assert len(make_crm(envelope="bare").get("/contacts").json()) == 15


def test_the_wrapped_envelope_wraps_single_contacts_and_searches(make_crm):
    crm = make_crm(envelope="wrapped")
    assert crm.get("/contacts/1").json()["data"]["id"] == 1
    assert crm.post("/contacts", first_name="Ana").json()["data"]["id"] == 26
    assert len(crm.get("/contacts/search", q="26", search_fields="id:=").json()["data"]) == 1


@pytest.mark.parametrize(("switch", "status"), [("refused", 422), ("failing", 500)])
def test_order_by_updated_at_can_be_refused(make_crm, switch, status):
    crm = make_crm(order_updated_at=switch)
    assert crm.get("/contacts", order="updated_at|desc").status_code == status
    assert crm.get("/contacts", order="id").status_code == 200


def test_per_page_can_be_ignored(make_crm):
    answer = make_crm(fixed_per_page=4).get("/contacts", per_page=100).json()
    assert (len(answer["data"]), answer["meta"]["per_page"]) == (4, 4)
