"""E-mail addresses: the form in which they are compared, those in which a CRM may hold one, and what is none."""

from __future__ import annotations

import unicodedata

import idna

MOST_LABEL_CHARS = 63
"""A longer label of a host is no host's, and would take long to convert."""
FORBIDDEN = ",;:<>"
"""A list of addresses, an address with a name, or what the CRM's search reads as its own grammar."""
_BLANK_TO_THE_EYE = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
"""Characters that show nothing, although Unicode does not call them formats or spaces."""
_LONG_S = "\u017f"


def clean_address(value: object) -> str | None:
    """Return an address without blanks and invisible characters around it; None where nothing is left."""
    if not isinstance(value, str):
        return None
    start, end = 0, len(value)
    while start < end and _is_invisible(value[start]):
        start += 1
    while end > start and _is_invisible(value[end - 1]):
        end -= 1
    return value[start:end] or None


def _is_invisible(character: str) -> bool:
    return (
        character.isspace()
        or unicodedata.category(character) in ("Cf", "Zs", "Zl", "Zp")
        or character in _BLANK_TO_THE_EYE
        or "\ufe00" <= character <= "\ufe0f"
    )


def address_key(value: object) -> str | None:
    """Return an address as it is compared; None where there is none.

    Case is no difference, nor is the way in which Unicode composes a letter or a host's name is encoded. What only
    folding makes alike (``ß`` and ``ss``, ligatures) stays apart: it may be another person's. An address with a
    character that becomes a letter of ASCII (the Kelvin sign, the long s) equals only itself.
    """
    address = clean_address(value)
    if address is None or address.isascii():
        return None if address is None else _with_ascii_host(address.lower())
    composed = unicodedata.normalize("NFC", address)
    # Both are asked: composing takes the Kelvin sign away, and only it makes a dotted capital I of two characters.
    for form in (address, composed):
        if any(_becomes_ascii_letter(character) for character in form):
            return form
    return _with_ascii_host(unicodedata.normalize("NFC", composed.lower()))


def _becomes_ascii_letter(character: str) -> bool:
    if character.isascii():
        return False
    found = unicodedata.normalize("NFC", character) + character.lower()
    return character == _LONG_S or any(letter.isascii() and letter.isalpha() for letter in found)


def _with_ascii_host(address: str) -> str:
    """Return an address whose host's name is written in ASCII, by IDNA 2008, which folds nothing."""
    name, at, host = address.rpartition("@")
    return f"{name}{at}{'.'.join(map(_ascii_label, host.split('.')))}" if at else address


def _ascii_label(label: str) -> str:
    if label.isascii() or len(label) > MOST_LABEL_CHARS:
        return label
    try:
        return idna.alabel(label).decode("ascii")
    except UnicodeError:
        return label


def _unicode_label(label: str) -> str:
    if not label.startswith("xn--") or len(label) > MOST_LABEL_CHARS:
        return label
    try:
        return idna.ulabel(label)
    except UnicodeError:
        return label


def address_forms(value: object) -> tuple[str, ...]:
    """Return the forms in which a CRM may hold an address, its own first; case aside, which no search minds."""
    address, key = clean_address(value), address_key(value)
    if address is None or key is None:
        return ()
    name, at, host = key.rpartition("@")
    if address.isascii() and "xn--" not in host:
        return (address,)
    shown = f"{name}{at}{'.'.join(map(_unicode_label, host.split('.')))}"
    decomposed = (unicodedata.normalize("NFD", form) for form in (shown, key))
    return tuple(dict.fromkeys((address, shown, key, *decomposed)))


def fault_of_address(address: str) -> str | None:
    """Say why a text cannot be an address, whatever CRM it is sent to; None where it may be one."""
    if any(character.isspace() for character in address):
        return "holds a blank"
    if any(unicodedata.category(character) == "Cc" for character in address):
        return "holds a control character"
    found = [character for character in FORBIDDEN if character in address]
    if found:
        return f"holds {' and '.join(found)}"
    if address.count("@") != 1:
        return "does not hold exactly one @"
    return None
