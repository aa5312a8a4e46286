"""What to do about a reject, by its cause."""

from __future__ import annotations

import re

_ADVICE: tuple[tuple[str, str], ...] = (
    (
        r"not in the plan",
        (
            "The input or the CRM is not what it was when the plan was made. Nothing was written for these records. "
            "Make a new plan, look at it, apply that."
        ),
    ),
    (
        r"changed since the plan",
        (
            "Somebody changed these contacts after the plan was made, and their change was kept. "
            "Make a new plan, and see whether both changes are wanted."
        ),
    ),
    (
        r"max_deletes",
        (
            "More contacts were to be deleted than max_deletes allows, so none was. If all of these are really to go, "
            "raise max_deletes for one run; if not, look for what is missing from the source."
        ),
    ),
    (
        r"outcome unknown",
        (
            "The CRM did not say whether it wrote these, and they have no key to look them up by. Look in the CRM "
            "before you send them again by hand."
        ),
    ),
    (
        r"more than one contact|different contacts|two hits|ambiguous",
        "Several contacts answer to these keys. Merge them in the CRM, or name a key in match_on that only one has.",
    ),
    (
        r"no contact matches",
        "The CRM has no such contact, and mode lets none be created. Create it, or set mode to upsert.",
    ),
    (
        r"another key|carries another",
        (
            "The contact found carries another source's key in external_id_field. Two source records mean one contact: "
            "merge them at the source, or correct the key in the CRM."
        ),
    ),
    (
        r"belongs to another contact|e-?mail .*taken|422 on .*\bemail",
        (
            "Another contact holds this address, perhaps in the trash or hidden from the token. Restore or merge that "
            "one, or let match_on begin with email."
        ),
    ),
    (
        r"422 on .*\bphones",
        (
            "Another contact holds this number, or it lacks its country's prefix. Match by phones.number too, or mend "
            "the number at the source."
        ),
    ),
    (
        r"no (e-?mail )?address|not an address|is no e-?mail",
        "This is no e-mail address, so it was not sent. Mend it at the source, or leave the field empty.",
    ),
    (
        r"first_name",
        "The CRM creates no contact without a first name. Fill first_name at the source or in stream_maps.",
    ),
    (
        r"unknown (company|deal|owner|user|source|country|option|name)|does not have|no such \w+|(has|of) this name",
        "The CRM has no such name. Correct it at the source, add it in the CRM, or set unknown_names.",
    ),
    (
        r"look-?up refused|cannot be looked up",
        "The CRM refused to search for this key. Look at the reason, and mend the key at the source.",
    ),
    (
        r"match key",
        "The record has no value in any field of match_on. Fill one at the source.",
    ),
    (
        r"stream.?map",
        "The stream map cannot work out this record. Mend stream_maps, or the value that it stumbles over.",
    ),
    (
        r"goes nowhere",
        "The target takes contacts and contact_associations. Deselect the stream, or alias it in stream_maps.",
    ),
    (
        r"schema|must be|finite|character|JSON|item without|cannot be read|can hold|neither|key property",
        "The record's value is missing or not of its field's kind. Mend it at the source or in stream_maps.",
    ),
    (
        r"status 403|forbidden",
        "The token's user may not do this to this contact. Give that user the permission.",
    ),
    (
        r"status 404|gone",
        "The contact is gone from the CRM. Take the record out at the source, or let it be created anew.",
    ),
    (
        r"status 5\d\d",
        "The server failed. Send the record again later; if it lasts, tell the CRM's administrator.",
    ),
    (
        r"status 422",
        "The CRM does not take a value of these fields. The reason has its words: mend the value at the source.",
    ),
)
_OTHERWISE = "Read the reason, mend the record at the source or in the rejects file, and send it again."


def advice_for(cause: str) -> str:
    """Return what to do about rejects of this cause."""
    for pattern, advice in _ADVICE:
        if re.search(pattern, cause[:500], re.IGNORECASE):
            return advice
    return _OTHERWISE
