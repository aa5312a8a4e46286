"""Text for people: what is shown of a key, of a server's words, and of a count."""

from __future__ import annotations

GAP = "…"
SHORT_LABEL_CHARS = 3
"""A part of a domain that is this short (``com``, ``br``) names nobody."""
LONGEST_KEY_CHARS = 60


def printable(value: object, limit: int = 200) -> str:
    """Return a value's text on one line, without control or invisible characters, and cut.

    Args:
        value: mostly what a server or the input said.
        limit: the most characters to show.
    """
    # What lies far behind the cut is not looked at: a hostile text may be as long as memory allows.
    text = str(value)[: 8 * limit]
    shown = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return shown if len(shown) <= limit else shown[: limit - 1].rstrip() + GAP


def masked(key: object) -> str:
    """Return a key so that its owner knows it again and nobody else learns it: ``z…a@e…e.com``."""
    text = printable(key, LONGEST_KEY_CHARS * 8)
    local, at, domain = text.rpartition("@")
    if not at:
        return _masked_word(text)
    labels = domain.split(".")
    shown = [label if len(label) <= SHORT_LABEL_CHARS else _masked_word(label) for label in labels[1:]]
    return printable(
        f"{_masked_word(local)}@{'.'.join([_masked_word(labels[0]), *shown])}", LONGEST_KEY_CHARS
    )


def _masked_word(word: str) -> str:
    if len(word) <= 2:
        return f"{word[:1]}{GAP}"
    return f"{word[0]}{GAP}{word[-1]}"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return ``1 record`` or ``2 records``.

    Args:
        count: how many.
        noun: the name of one.
        plural: the name of several, where it is not the noun with an s.
    """
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
