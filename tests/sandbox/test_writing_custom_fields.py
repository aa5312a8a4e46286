"""Custom fields as they are written."""

import contextlib
import itertools
import sqlite3

import pytest

APP_VERSION = "1.6"
_NAMES = ("cf_" + "".join(letters) for letters in itertools.product("abcdef", repeat=4))


@pytest.fixture
def declare(crm):
    """A new custom field's name."""

    def make(kind, options=(), **flags):
        name = next(_NAMES)
        crm.sandbox.declare_field(name, kind, options, **flags)
        return name

    return make


def _stored(crm, contact_id, name):
    return crm.sandbox.contact(contact_id)[name]


def _count(crm, table):
    with contextlib.closing(sqlite3.connect(crm.sandbox.database)) as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_a_single_select_is_written_by_option_id_or_by_label(crm, declare):
    name = declare("select", ["Varejo", "Atacado"])
    options = crm.options(name)
    for value in (options["Atacado"], str(options["Atacado"]), "Atacado"):
        assert _stored(crm, crm.new(**{name: value}), name) == options["Atacado"]
    assert crm.options(name) == options


def test_an_unknown_label_of_a_single_select_creates_an_option(crm, declare):
    name = declare("select", ["Varejo"])
    first, second = crm.new(**{name: "varejo "}), crm.new(**{name: "varejo"})
    assert list(crm.options(name)) == ["Varejo", "varejo"]
    made = crm.options(name)["varejo"]
    assert (_stored(crm, first, name), _stored(crm, second, name)) == (made, made)


def test_a_refused_body_creates_neither_option_nor_source(crm, declare):
    name = declare("select", ["Varejo"])
    sources = _count(crm, "sources")
    assert crm.refused(**{name: "Novo"}, source_id="Feirão", email="none") == ["email"]
    assert list(crm.options(name)) == ["Varejo"]
    assert _count(crm, "sources") == sources
    crm.new(**{name: "Novo"})
    assert list(crm.options(name)) == ["Varejo", "Novo"]


def test_a_number_that_is_no_option_is_refused(crm, declare):
    name = declare("select", ["Varejo"])
    assert crm.refused(**{name: 99_999}) == [name]
    assert crm.refused(**{name: True}) == [name]
    assert crm.refused(**{name: "x" * 192}) == [name]


def test_a_single_select_cannot_be_cleared_by_null(crm, declare):
    name = declare("select", ["Varejo"])
    contact_id = crm.new(**{name: "Varejo"})
    crm.sandbox.advance_clock(60)
    for nothing in (None, ""):
        crm.change(contact_id, **{name: nothing})
    assert _stored(crm, contact_id, name) == crm.options(name)["Varejo"]
    assert crm.stamp(contact_id) == "2026-06-01T08:00:00.000000Z"


def test_a_multi_select_is_written_by_ids_and_labels_and_read_as_objects(crm, declare):
    name = declare("multi-select", ["Música", "Esporte", "Viagem"])
    options = crm.options(name)
    shown = crm.get(f"/contacts/{crm.new(**{name: ['Viagem', options['Música'], 'Teatro']})}").json()[name]
    assert [option["name"] for option in shown] == ["Música", "Viagem", "Teatro"]
    assert [option["id"] for option in shown] == [
        options["Música"],
        options["Viagem"],
        crm.options(name)["Teatro"],
    ]
    assert all("swatch_color" in option for option in shown)


def test_a_multi_select_is_emptied_by_an_empty_list_and_not_by_null(crm, declare):
    name = declare("multi-select", ["Música", "Esporte"])
    contact_id = crm.new(**{name: ["Música"]})
    assert [option["name"] for option in crm.change(contact_id, **{name: None})[name]] == ["Música"]
    assert crm.change(contact_id, **{name: []})[name] == []


@pytest.mark.parametrize("value", [0, 0.125, 39.62, "39.620", 1.0, 12, None])
def test_a_decimal_of_0_or_more_and_3_decimals_is_taken(crm, value):
    contact_id = crm.new(cf_credit_limit=value)
    expected = None if value is None else float(value)
    assert _stored(crm, contact_id, "cf_credit_limit") == expected


@pytest.mark.parametrize(
    "value", [-1, -0.5, "-1", 0.1234, "1.5000", 1e-7, "a lot", "1e3", "NaN", True, [], 10**400]
)
def test_a_decimal_below_0_or_beyond_3_decimals_is_refused(crm, value):
    assert crm.refused(cf_credit_limit=value) == ["cf_credit_limit"]


@pytest.mark.parametrize("value", [2**31 - 1, -(2**31 - 1), "77", 12.0])
def test_an_integer_of_32_bits_is_taken(crm, value):
    assert _stored(crm, crm.new(cf_loyalty_points=value), "cf_loyalty_points") == int(value)


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, "9" * 20, 2**63])
def test_an_integer_beyond_32_bits_is_a_server_error_that_stores_nothing(crm, value, address):
    email = address()
    answer = crm.post("/contacts", first_name="Ana", email=email, cf_loyalty_points=value)
    assert (answer.status_code, answer.json()) == (500, {"message": "Server Error"})
    assert crm.sandbox.find(email) is None


@pytest.mark.parametrize("value", ["77.5", 1.5, "one", True])
def test_an_integer_that_is_none_is_refused(crm, value):
    assert crm.refused(cf_loyalty_points=value) == ["cf_loyalty_points"]


@pytest.mark.parametrize(
    "value",
    [
        "1990-05-01", "1990-05-01 22:30:00", "1990-05-01T22:30:00Z", "1990-05-01T22:30:00.000000Z",
        "1990-05-01T22:30:00-03:00", "1990-05-01T00:30:00+0300",
    ],
)  # fmt: skip
def test_a_date_takes_the_day_that_was_written(crm, value):
    contact_id = crm.new(cf_birthday=value)
    assert crm.get(f"/contacts/{contact_id}").json()["cf_birthday"] == "1990-05-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-23", "2026-01-23T00:00:00.000000Z"),
        ("2026-01-23 04:58:56", "2026-01-23T04:58:56.000000Z"),
        ("2026-01-23T04:58:56", "2026-01-23T04:58:56.000000Z"),
        ("2026-01-23T04:58:56.123Z", "2026-01-23T04:58:56.000000Z"),
        ("2026-01-23T01:58:56-03:00", "2026-01-23T04:58:56.000000Z"),
        ("2026-01-23T01:58-0300", "2026-01-23T04:58:00.000000Z"),
        ("0001-01-01 00:00:00", "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_a_date_time_takes_the_crms_form_and_iso(crm, value, expected):
    contact_id = crm.new(cf_last_visit_at=value)
    assert crm.get(f"/contacts/{contact_id}").json()["cf_last_visit_at"] == expected


@pytest.mark.parametrize(
    "value",
    [
        "23/01/2026",
        "2026-02-30",
        "0001-01-01T00:00:00+03:00",
        "0000-00-00",
        "2026-01-23 25:00:00",
        1_700_000_000,
    ],
)
@pytest.mark.parametrize("name", ["cf_birthday", "cf_last_visit_at"])
def test_what_is_no_date_is_refused(crm, name, value):
    assert crm.refused(**{name: value}) == [name]


@pytest.mark.parametrize("kind", ["text", "email", "url"])
def test_texts_have_at_most_191_characters(crm, declare, kind):
    name = declare(kind)
    before, after = {"text": ("", ""), "email": ("", "@x.example"), "url": ("https://", "")}[kind]
    for length, status in ((191, 201), (192, 422)):
        value = before + "a" * (length - len(before) - len(after)) + after
        assert crm.post("/contacts", first_name="Ana", **{name: value}).status_code == status


def test_the_contacts_own_texts_have_at_most_191_characters(crm):
    for name in ("first_name", "last_name", "job_title", "street", "city", "state", "postal_code"):
        assert crm.refused(**{name: "é" * 192}) == [name]
        crm.new(**{name: "é" * 191})


@pytest.mark.parametrize("kind", ["text", "integer"])
def test_a_unique_field_refuses_a_second_contact_with_its_value(crm, declare, kind):
    name = declare(kind, unique=True)
    holder, other = crm.new(**{name: "77"}), crm.new(**{name: "78"})
    assert crm.refused(**{name: "77"}) == [name]
    assert crm.put(f"/contacts/{other}", first_name="Ana", **{name: "77"}).status_code == 422
    crm.change(holder, **{name: "77"})
    crm.delete(f"/contacts/{holder}")
    assert crm.refused(**{name: "77"}) == [name]
    for _ in range(2):
        crm.new(**{name: None})


def test_a_required_field_may_be_neither_missing_in_a_create_nor_null(make_crm):
    crm = make_crm(contacts=3)
    crm.sandbox.declare_field("cf_code", "text", required=True)
    assert crm.refused() == crm.refused(cf_code=None) == crm.refused(cf_code=" ") == ["cf_code"]
    contact_id = crm.new(cf_code="x")
    assert crm.put(f"/contacts/{contact_id}", last_name="Silva").status_code == 200
    assert crm.put(f"/contacts/{contact_id}", cf_code=None).status_code == 422
    assert crm.sandbox.contact(contact_id)["cf_code"] == "x"


@pytest.mark.parametrize("name", ["cf_" + "a" * 61, "cf_a_b"])
def test_a_custom_field_is_named_in_small_letters_and_underscores(crm, name):
    crm.sandbox.declare_field(name, "text")
    assert _stored(crm, crm.new(**{name: "x"}), name) == "x"


@pytest.mark.parametrize("name", ["cf_" + "a" * 62, "cf_", "cf_2", "cf_A", "cf_é", "external"])
def test_other_names_are_not_those_of_custom_fields(crm, name):
    with pytest.raises(ValueError, match="custom field"):
        crm.sandbox.declare_field(name, "text")
