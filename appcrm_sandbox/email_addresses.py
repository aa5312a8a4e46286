"""Which e-mail addresses are possible at all."""

from __future__ import annotations

import re

# An atom of a local part, as RFC 5322 has it, with any letter beyond ASCII as RFC 6531 allows.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u00a1-\U0010ffff]+"
_LABEL = r"[A-Za-z0-9\u00a1-\U0010ffff](?:[A-Za-z0-9\u00a1-\U0010ffff\-]*[A-Za-z0-9\u00a1-\U0010ffff])?"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")


def is_possible(text: str) -> bool:
    """Whether a text could be one e-mail address: no blanks, one @, no empty piece between dots."""
    return _ADDRESS.fullmatch(text) is not None and not any(sign.isspace() for sign in text)
