"""What is shown of keys, counts and other people's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appcrm.errors import AppcrmError, one_sentence
from appcrm.text import counted, masked, printable


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("zulmira@example.com", "z…a@e…e.com"),
        ("z@example.com.br", "z…@e…e.com.br"),
        ("ana@joao.silva.com.br", "a…a@j…o.s…a.com.br"),
        ("+5511987654321", "+…1"),
        (12345, "1…5"),
        ("x", "x…"),
        ("", "…"),
    ],
)
def test_a_key_is_masked_so_that_only_its_owner_knows_it(key, shown):
    assert masked(key) == shown


@given(st.text())
def test_what_is_shown_is_one_line_without_control_characters_and_cut(text):
    for shown in (printable(text, 20), masked(text)):
        assert shown.isprintable()
        assert len(shown) <= 60
    assert len(printable(text, 20)) <= 20


@given(st.from_regex(r"[a-z]{3,20}@[a-z]{4,20}\.com", fullmatch=True))
def test_a_masked_address_holds_neither_name_nor_domain(address):
    local, domain = address.split("@")
    assert local not in masked(address).split("@")[0] or len(local) < 3
    assert domain not in masked(address)


def test_escape_sequences_and_hidden_directions_are_not_shown():
    assert printable("\x1b[31mred\u202e\u200b\r\nline\x00") == "[31mred line"


def test_counts_are_grammatical():
    assert counted(1, "record") == "1 record"
    assert counted(0, "record") == "0 records"
    assert counted(2, "company", "companies") == "2 companies"


def test_an_unforeseen_error_is_one_sentence_with_its_place_and_where_to_send_it():
    try:
        printable(_Hostile())
    except ZeroDivisionError as error:
        sentence = one_sentence(error)
    assert "ZeroDivisionError at appcrm.text line" in sentence
    assert "maintainers" in sentence
    assert "ana@example.com" not in sentence


class _Hostile:
    def __str__(self) -> str:
        raise ZeroDivisionError("ana@example.com")


@pytest.mark.parametrize(
    "error",
    [
        AppcrmError("two\nlines"),
        KeyboardInterrupt(),
        MemoryError(),
        OSError(28, "No space left"),
        RuntimeError("x"),
    ],
)
def test_any_error_is_one_sentence(error):
    assert one_sentence(error).isprintable()
    assert one_sentence(error)


def test_a_system_error_names_its_file():
    with pytest.raises(OSError, match="No such file") as caught:
        open("/nowhere/at/all").close()  # noqa: PTH123  the error is what is wanted
    assert one_sentence(caught.value) == "The system refused (No such file or directory): /nowhere/at/all"
