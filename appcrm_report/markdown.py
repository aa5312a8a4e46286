"""What a plan or a run does, as Markdown for a merge request: without values, unless they are asked for."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from appcrm.receipts import WRITES
from appcrm.text import counted, masked
from appcrm_report.advice import advice_for
from appcrm_report.figures import (
    OPERATION_WORDS,
    counts_sentence,
    kind_of,
    minutes_phrase,
    moment,
    requests_to_apply,
    warnings_of,
    words_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from appcrm.receipt_reader import RunInFile
    from appcrm.receipts import Receipt
    from appcrm_report.sources import SourcedRun, TapReceipt

MOST_ROWS_PER_OPERATION = 50
"""More would be read by nobody there; the page has them all."""
LONGEST_VALUE_CHARS = 120


def markdown_report(
    runs: Sequence[SourcedRun],
    tap_receipts: Sequence[TapReceipt],
    *,
    with_values: bool,
    old_receipts: int = 0,
) -> str:
    """Return the report.

    Args:
        runs: in the order in which they are shown.
        tap_receipts: of the tap.
        with_values: whether keys, values and reasons are shown; else contacts by id and masked key, and fields by name.
        old_receipts: receipts that are too old to be shown.

    Raises:
        ReceiptsError: a file changed while it was read.
    """
    parts = [_run(each, with_values=with_values) for each in runs]
    if tap_receipts:
        parts.append(_tap(tap_receipts))
    if old_receipts:
        parts.append(
            f"{counted(old_receipts, 'receipt')} of an older version are left out: they say of no run.\n"
        )
    return "\n".join(parts)


def _run(each: SourcedRun, *, with_values: bool) -> str:
    run = each.in_file
    rows: dict[str, list[list[str]]] = {operation: [] for operation in (*WRITES, "skipped")}
    causes: Counter[str] = Counter()
    fields: Counter[str] = Counter()
    for receipt in each.receipts:
        if receipt.operation == "reject":
            causes[receipt.cause or "no cause given"] += 1
        if receipt.operation == "update":
            fields.update(list(receipt.changes or ()))
        shown = rows.get(receipt.operation)
        if shown is not None and len(shown) < MOST_ROWS_PER_OPERATION:
            shown.append(_row(receipt, with_values=with_values))
    lines = _heading(run)
    if fields:
        named = ", ".join(f"{code(name)} {count:,}" for name, count in fields.most_common(30))
        lines += [f"Fields updated: {named}", ""]
    for operation in (each for each in OPERATION_WORDS if each in rows):
        if run.counts[operation] and (operation != "skipped" or with_values):
            lines += _operation(run, operation, rows[operation], with_values=with_values)
    if causes:
        table = [
            [f"{count:,}", code(cause), _text(advice_for(cause))] for cause, count in causes.most_common(30)
        ]
        lines += [
            f"### {run.counts['reject']:,} rejected",
            "",
            *_table(("Count", "Cause", "What to do"), table),
        ]
    return "\n".join([*lines, ""])


def _heading(run: RunInFile) -> list[str]:
    lines = [f"## {kind_of(run)} of {moment(run.run.started_at)}", ""]
    requests = f"{counted(run.run.requests, 'request')}, {minutes_phrase(run.run.requests)}"
    if run.run.planned:
        lines += ["Nothing has been written yet.", ""]
        to_apply = requests_to_apply(run)
        requests += f"; to apply it {counted(to_apply, 'request')}, {minutes_phrase(to_apply)}"
    lines += [f"**{counts_sentence(run)}**", "", *(f"> {_text(warning)}" for warning in warnings_of(run))]
    return [*lines, "", f"CRM {code(run.run.account)}, run {code(run.run.run_id)}. {requests}.", ""]


def _operation(run: RunInFile, operation: str, rows: list[list[str]], *, with_values: bool) -> list[str]:
    count = run.counts[operation]
    title = f"{count:,} {words_for(operation, planned=run.run.planned)}"
    more = [f"{count - len(rows):,} more are not shown.", ""] if count > len(rows) else []
    names = ("Contact", "Key", "Changes" if with_values else "Fields")
    return _folded(title, [*_table(names, rows), *more], is_open=operation == "delete")


def _row(receipt: Receipt, *, with_values: bool) -> list[str]:
    contact = "" if receipt.contact_id is None else f"{receipt.contact_id}"
    key = receipt.key or {}
    if with_values:
        changes = [
            f"{code(name)}: {_value(old)} → {_value(new)}"
            for name, (old, new) in (receipt.changes or {}).items()
        ]
        shown = [*changes, *([code(receipt.reason)] if receipt.reason else [])]
        return [contact, code(", ".join(_plain(value) for value in key.values())), "<br>".join(shown)]
    masked_key = ", ".join(masked(_plain(value)) for value in key.values() if value is not None)
    return [contact, code(masked_key), ", ".join(code(name) for name in receipt.changes or {})]


def _tap(receipts: Iterable[TapReceipt]) -> str:
    rows = [
        [
            code(each.stream),
            _text(each.mode),
            "yes" if each.complete else "**no**",
            f"{each.distinct_ids:,} of {'unknown' if each.total is None else format(each.total, ',')}",
            f"{each.requests:,}, {minutes_phrase(each.requests)}",
            moment(each.bookmark_after),
        ]
        for each in receipts
    ]
    names = ("Stream", "Mode", "Complete", "Contacts", "Requests", "Bookmark")
    return "\n".join(["## Read from the CRM", "", *_table(names, rows)])


def _folded(title: str, lines: Iterable[str], *, is_open: bool) -> list[str]:
    """Return lines that unfold; a blank line on either side keeps Markdown inside HTML going."""
    opening = f"<details{' open' if is_open else ''}><summary>{title}</summary>"
    return [opening, "", *lines, "", "</details>", ""]


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(names)} |", f"|{'|'.join(' --- ' for _ in names)}|"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _value(value: object) -> str:
    return "*empty*" if value in (None, "", []) else code(_plain(value))


def _plain(value: Any) -> str:  # noqa: ANN401  whatever a field holds
    if isinstance(value, list):
        return ", ".join(_plain(each) for each in value)
    if isinstance(value, dict) and "number" in value:
        return " ".join(str(value[name]) for name in ("number", "type") if value.get(name) is not None)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def code(text: str) -> str:
    """Return text as code for a table's cell; in code, Markdown, HTML, links and mentions of users mean nothing."""
    if len(text) > LONGEST_VALUE_CHARS:
        text = f"{text[:LONGEST_VALUE_CHARS]}…"
    shown = "".join(char if char.isprintable() else " " for char in text.encode("utf-8", "replace").decode())
    # A bar splits cells even within code, unless a backslash escapes it, and two backslashes escape nothing.
    shown = shown.replace("\\|", "\\ |").replace("|", "\\|")
    if not shown.strip():
        return ""
    longest = run = 0
    for char in shown:
        run = run + 1 if char == "`" else 0
        longest = max(longest, run)
    fence = "`" * (longest + 1)
    pad = " " if longest or shown != shown.strip() else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _text(text: str) -> str:
    """Return a sentence of ours, which may name a field or repeat a server's word, as Markdown text."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return "".join(f"\\{char}" if char in "\\`*[]<>#|~@&!" else char for char in shown)
