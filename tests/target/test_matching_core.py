"""Which contact a key means, and what a policy leaves alone, on plain data: each claim kills mutants of its own."""

from decimal import Decimal

import pytest

from target_appcrm.errors import Unwritable
from target_appcrm.match.addresses import fault_of_address
from target_appcrm.match.equality import plain_name, same_number, whole_number
from target_appcrm.match.keys import MatchKey, bucket_of, holds, key_values, match_keys, resolve
from target_appcrm.match.phones import phones_to_send, same_phones
from target_appcrm.write.diff import body_for_create, with_first_name
from target_appcrm.write.policy import left_alone, policy_of


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3), (3.0, 3), ("3", 3), (" 3.0 ", 3), (Decimal("3.00"), 3), (0, 0), ("0", 0),
        ("9" * 19, int("9" * 19)), ("9" * 20, None), (10**19, None), (-3, None), ("-3", None), (3.5, None),
        ("3.5", None), ("3e2", None), ("three", None), ("", None), (None, None), (True, None), ([3], None),
    ],
    ids=repr,
)  # fmt: skip
def test_an_id_is_a_whole_number_however_it_is_written(value, number):
    assert whole_number(value) == number


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("+5511987654321", "11987654321", True),
        ("11987654321", "+5511987654321", True),
        ("0055 11 98765-4321", "11987654321", True),
        ("+351912345678", "912345678", True),
        ("+4912345678", "12345678", True),
        ("+491234567", "1234567", False),  # too short to be told from another's
        ("+123412345678", "12345678", False),  # four digits more are no country
        ("5511987654321", "11987654321", False),  # nothing says that these are a prefix
        ("+5511987654321", "+11987654321", False),  # two countries
        ("+5511987654320", "11987654321", False),
        ("+5511987654310", "1198765431", False),  # a nought at the end is a digit
        ("+5511987654321", "011987654321", True),  # one before is the trunk's
        ("0011987654321", "+5511987654321", False),
        (None, None, False), ("", None, False), (None, "+5511987654321", False), ("x", "x", True), ("x", "y", False),
    ],
)  # fmt: skip
def test_a_phone_is_the_same_where_it_lacks_only_its_country(one, other, same):
    assert same_number(one, other) is same
    assert same_number(other, one) is same


def test_the_values_of_a_key_are_those_that_are_there():
    row = {"id": "7.0", "email": " Ana@X.example ", "phones": [{"number": " +55 11 "}, {}], "cf_key": 12.0}
    assert key_values("id", row) == [("7", "7")]
    assert key_values("email", row) == [("ana@x.example", "Ana@X.example")]
    assert key_values("phones.number", row) == [("5511", "+55 11")]
    assert key_values("cf_key", row) == [("12", "12")]
    for field in ("id", "email", "phones.number", "cf_key"):
        assert key_values(field, {}) == []
        assert key_values(field, {field: None, "phones": None}) == []


def test_keys_are_tried_in_their_order_and_each_once():
    row = {"email": "a@x.example", "phones": [{"number": "+5511"}, {"number": "0055 11"}], "id": 3}
    assert [key[:2] for key in match_keys(["phones.number", "email", "id"], row)] == [
        ("phones.number", "5511"),
        ("email", "a@x.example"),
        ("id", "3"),
    ]


def test_only_phones_share_a_bucket_with_and_without_their_prefix():
    assert bucket_of("phones.number", "5511987654321") == bucket_of("phones.number", "11987654321")
    assert bucket_of("cf_key", "5511987654321") == ("cf_key", "5511987654321")


def test_a_key_holds_what_it_means_and_nothing_else():
    assert holds({"id": 3}, MatchKey("id", "3", "3"))
    assert not holds({"id": 33}, MatchKey("id", "3", "3"))
    assert not holds({}, MatchKey("id", "3", "3"))
    assert holds(
        {"phones": [{"number": "+5511987654321"}]}, MatchKey("phones.number", "11987654321", "11987654321")
    )
    assert holds({"cf_key": 12}, MatchKey("cf_key", "12", "12.0"))
    assert not holds({"cf_key": "a"}, MatchKey("cf_key", "A", "A"))


EMAIL_KEY, PHONE_KEY = MatchKey("email", "a@x", "a@x"), MatchKey("phones.number", "5511", "+5511")


def contact(number, email=None, phone=None):
    return {"id": number, "email": email, "phones": [{"number": phone}] if phone else []}


def test_nobody_is_meant_where_no_key_is_there():
    assert resolve([EMAIL_KEY], [contact(1, "b@x")]) is None
    assert resolve([], [contact(1, "a@x")]) is None


def test_one_contact_is_meant_by_one_key_or_by_all():
    one = contact(1, "a@x", "+5511")
    assert resolve([EMAIL_KEY, PHONE_KEY], [contact(2), one]) is one
    assert resolve([EMAIL_KEY, PHONE_KEY], [contact(2, "c@x", "+5511")])["id"] == 2


def test_a_key_that_means_one_decides_between_the_several_that_another_means():
    one, other = contact(1, "a@x", "+5511"), contact(2, "b@x", "+5511")
    assert resolve([EMAIL_KEY, PHONE_KEY], [one, other]) is one


@pytest.mark.parametrize(
    ("contacts", "said"),
    [
        (
            [contact(1, "a@x"), contact(2, "b@x", "+5511")],
            "email and phones.number mean more than one contact (1, 2)",
        ),
        (
            [contact(2, None, "+5511"), contact(1, None, "+5511")],
            "phones.number means more than one contact (1, 2)",
        ),
        (
            [contact(1, "a@x", "+5511"), contact(2, "a@x", "+5511")],
            "email and phones.number mean more than one contact (1, 2)",
        ),
        (
            [contact(1, "a@x", "+5511"), contact(2, "a@x"), contact(3, "c@x", "+5511")],
            "email and phones.number mean more than one contact (1, 2, 3)",
        ),
        ([contact(n, "a@x") for n in range(1, 8)], "email means more than one contact (1, 2, 3, 4, 5)"),
    ],
)
def test_it_is_never_guessed_which_of_several_is_meant(contacts, said):
    with pytest.raises(Unwritable) as raised:
        resolve([EMAIL_KEY, PHONE_KEY], contacts)
    assert str(raised.value) == f"{said}; make the values unique, or set match_on to keys that are"
    assert raised.value.cause == f"more than one contact matches {said.partition(' mean')[0]}"


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("a b@x.example", "holds a blank"),
        ("a\x07@x.example", "holds a control character"),
        ("a;b,c@x.example", "holds , and ;"),
        ("ax.example", "does not hold exactly one @"),
        ("a@b@x.example", "does not hold exactly one @"),
        ("a@x.example", None),
    ],
)
def test_what_is_no_address_is_told(address, fault):
    assert fault_of_address(address) == fault


def test_phone_lists_are_the_same_in_any_order_and_a_type_that_is_wanted_counts():
    home, work = {"number": "+5511", "type": "other"}, {"number": "+5522", "type": "work"}
    assert same_phones([home, work], [work, home])
    assert same_phones([{"number": "+5511"}], [home])
    assert same_phones([], [])
    assert not same_phones([{"number": "+5511", "type": "work"}], [home])
    assert not same_phones([home], [home, work])
    assert not same_phones([{"number": "+5511", "type": " Other "}, work], [home])
    assert same_phones([{"number": "+5511", "type": " Other "}], [home])
    assert same_phones([{"number": "11987654321"}], [{"number": "+5511987654321", "type": "work"}])
    assert not same_phones([home], [home, {**home, "type": "work"}])


def test_a_phone_that_is_sent_keeps_the_type_that_the_crm_has_for_it():
    held = [{"number": "+55 11", "type": "work"}]
    assert phones_to_send([{"number": "+5511"}], held) == [{"number": "+5511", "type": "work"}]
    assert phones_to_send([{"number": "+5522"}], held) == [{"number": "+5522"}]
    assert phones_to_send([{"number": "+5511", "type": "other"}], held) == [
        {"number": "+5511", "type": "other"}
    ]
    twice = [
        {"number": "+5511"},
        {"number": "+5511", "type": "other"},
        {"number": "0055 11", "type": "other"},
    ]
    assert phones_to_send(twice, held) == [{"number": "+5511", "type": "other"}]


def test_a_field_has_its_own_policy_else_that_of_all_others_and_a_key_is_always_written():
    assert policy_of("city", {}, ()) == "always"
    assert policy_of("city", {"city": "never", "*": "if_empty"}, ()) == "never"
    assert policy_of("city", {"*": "if_empty"}, ()) == "if_empty"
    assert policy_of("city", {"state": "never"}, ()) == "always"
    assert policy_of("email", {"*": "never"}, ("email",)) == "always"
    assert policy_of("phones", {"*": "never"}, ("phones.number",)) == "always"


def test_what_a_policy_leaves_alone_in_a_contact_that_is_there():
    policies = {
        "city": "never",
        "state": "on_create",
        "street": "if_empty",
        "cf_a": "if_empty",
        "cf_b": "if_empty",
    }
    held = {"city": None, "state": None, "street": "here", "cf_a": 0, "cf_b": 1}
    left = left_alone([*policies, "job_title"], held, policies, (), ("cf_a", "cf_b"))
    assert left == {"city": "never", "state": "on_create", "street": "if_empty", "cf_b": "if_empty"}
    assert left_alone(["cf_a"], held, policies, (), ()) == {"cf_a": "if_empty"}


def test_what_a_policy_leaves_alone_in_a_new_contact_is_never_its_first_name():
    policies = {"city": "never", "state": "on_create", "street": "if_empty", "first_name": "never"}
    assert left_alone(policies, None, policies, ()) == {"city": "never"}


def test_a_create_sends_what_is_there_and_needs_a_first_name():
    phones = [{"number": "+5511"}, {"number": "0055 11"}]
    body = body_for_create({"first_name": "Ana", "city": None, "tags": [], "phones": phones})
    assert body == {"first_name": "Ana", "tags": [], "phones": [{"number": "+5511"}]}
    for nobody in ({}, {"first_name": None}, {"first_name": " "}):
        with pytest.raises(
            Unwritable, match=r"^first_name is missing, and the CRM creates no contact without it$"
        ):
            body_for_create(nobody)


def test_an_update_carries_a_first_name_where_the_crm_needs_one():
    body, held = {"city": "X"}, {"first_name": "Held"}
    assert with_first_name(body, {"first_name": "Ours"}, held) == {"first_name": "Ours", "city": "X"}
    assert with_first_name(body, {}, held) == {"first_name": "Held", "city": "X"}
    assert with_first_name({"first_name": "New"}, {}, held) == {"first_name": "New"}
    assert with_first_name(body, {}, {}, is_needed=False) == body
    with pytest.raises(
        Unwritable, match=r"^first_name is missing in the record and in the CRM, which updates no"
    ):
        with_first_name(body, {}, {})


def test_a_name_is_compared_without_case_and_blanks():
    assert plain_name("  Acme \u00a0 LTDA ") == plain_name("acme ltda") == "acme ltda"
    assert plain_name("Jose\u0301") == plain_name("JOS\u00c9")
    assert plain_name("AcmeLtda") != plain_name("Acme Ltda")
