"""What a CRM can do is known by its version and by what it showed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appcrm.abilities import BY_VERSION, Abilities, Ability, read_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.7", (1, 7)),
        ("1.7.2", (1, 7)),
        ("v1.6.0-beta", (1, 6)),
        (" 1.5.1 ", (1, 5)),
        ("", None),
        (None, None),
        ("seven", None),
        ("1", None),
        ("1." + "9" * 5000, None),
    ],
)
def test_a_version_is_its_major_and_minor(text, version):
    assert read_version(text) == version


@given(st.text())
def test_any_text_is_a_version_or_none(text):
    Abilities(text).may(Ability.TRASH)


@pytest.mark.parametrize(
    ("version", "in_texts", "with_or"),
    [("1.1.8", False, False), ("1.5.0", True, False), ("1.6.3", True, True), ("1.7.0", False, True)],
)
def test_how_many_addresses_are_looked_up_depends_on_the_version(version, in_texts, with_or):
    known = Abilities(version)
    assert known.may(Ability.SEARCH_IN) is in_texts
    assert known.may(Ability.FILTERS_OR) is with_or


@pytest.mark.parametrize("ability", Ability)
def test_what_no_version_says_must_be_tried(ability):
    assert Abilities().may(ability) is None
    assert Abilities("1.3").may(ability) is None


@pytest.mark.parametrize("ability", Ability)
def test_a_newer_version_is_taken_to_do_what_the_newest_known_does(ability):
    assert Abilities("2.4").may(ability) is BY_VERSION[ability][1, 7]


def test_what_an_answer_showed_counts_before_the_version():
    known = Abilities("1.6.0").with_seen(Ability.SEARCH_IN, works=False)
    assert known.may(Ability.SEARCH_IN) is False
    assert known.may(Ability.FILTERS_OR) is True
    assert Abilities("1.6.0").may(Ability.SEARCH_IN) is True
