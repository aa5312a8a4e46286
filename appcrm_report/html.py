"""One page that shows plans and runs to people: no network, no address but its own, everything escaped.

Python writes what is the same however it is looked at: heading, warnings, counts. The list of receipts stands in the
page as JSON, and its script (``page/page.js``) draws, searches and folds it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from appcrm.receipts import WRITES
from appcrm.text import counted
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
    from collections.abc import Iterable, Iterator, Sequence

    from appcrm.receipts import Receipt
    from appcrm_report.sources import SourcedRun, TapReceipt

MOST_ROWS = 100_000
"""Receipts in one page; a browser holds that many."""
MOST_UNCHANGED = 20_000
"""Of unchanged records, whose count says enough: past it they are left out."""

_SHORT_NAMES = {
    "operation": "o",
    "stream": "s",
    "key": "k",
    "contact_id": "c",
    "changes": "d",
    "left_alone": "l",
    "names": "m",
    "reason": "w",
    "cause": "a",
    "status": "t",
    "requests": "q",
    "record_number": "i",
}
"""Fields of a receipt to their names in the page, whose size is mostly these."""


def html_page(runs: Sequence[SourcedRun], tap_receipts: Sequence[TapReceipt], old_receipts: int = 0) -> bytes:
    """Return the page.

    Args:
        runs: in the order in which they are shown; where they are too many for one page, the last ones are.
        tap_receipts: of the tap.
        old_receipts: receipts that are too old to be shown.

    Raises:
        ReceiptsError: a file changed while it was read.
    """
    shown, left_out = _that_fit(runs)
    style, script = _page_file("page.css"), _page_file("page.js")
    causes: set[str] = set()
    rows = b",\n".join(_rows(shown, causes))
    head = _head(style, script, _title(shown, tap_receipts))
    main = "".join(
        [
            _notes(shown, left_out, old_receipts),
            _cards(shown),
            _run_table(runs, shown) if len(runs) > 1 else "",
            _tap_table(tap_receipts) if tap_receipts else "",
            _controls(shown) if shown else "",
        ]
    )
    facts = {
        "runs": [_run_label(each, len(shown)) for each in shown],
        "planned": [each.in_file.run.planned for each in shown],
        "words": {name: [words[0], words[1]] for name, words in OPERATION_WORDS.items()},
        "advice": {cause: advice_for(cause) for cause in sorted(causes)},
    }
    return b"".join(
        [
            head.encode("utf-8", "replace"),
            main.encode("utf-8", "replace"),
            b'<script type="application/json" id="rows">[',
            rows,
            b']</script>\n<script type="application/json" id="facts">',
            _script_json(facts),
            b"</script>\n<script>",
            script.encode(),
            b"</script>\n</body>\n</html>\n",
        ]
    )


def _that_fit(runs: Sequence[SourcedRun]) -> tuple[list[SourcedRun], list[SourcedRun]]:
    """Return the last runs that fit into one page, and those before them; the very last one is always shown."""
    shown: list[SourcedRun] = []
    rows = 0
    for each in reversed(runs):
        rows += sum(count for operation, count in each.in_file.counts.items() if operation != "unchanged")
        if shown and rows > MOST_ROWS:
            break
        shown.insert(0, each)
    return shown, list(runs[: len(runs) - len(shown)])


def _rows(runs: Sequence[SourcedRun], causes: set[str]) -> Iterator[bytes]:
    """Yield each receipt as JSON that can stand in a script, and note the causes of rejects."""
    unchanged = sum(each.in_file.counts["unchanged"] for each in runs)
    for number, each in enumerate(runs):
        for receipt in each.receipts:
            if receipt.operation == "unchanged" and unchanged > MOST_UNCHANGED:
                continue
            if receipt.operation == "reject":
                causes.add(receipt.cause or receipt.reason or "")
            yield _script_json(_row(number, receipt))


def _row(run_number: int, receipt: Receipt) -> dict[str, Any]:
    row: dict[str, Any] = {"r": run_number} if run_number else {}
    for name, short in _SHORT_NAMES.items():
        value = getattr(receipt, name)
        if value is not None and value != {}:
            row[short] = value
    return row


def _script_json(value: object) -> bytes:
    """Return JSON in which nothing ends a script or begins a comment; half characters are replaced."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode("utf-8", "replace")


def _page_file(name: str) -> str:
    return files("appcrm_report").joinpath("page", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _title(runs: Sequence[SourcedRun], tap_receipts: Sequence[TapReceipt]) -> str:
    if len(runs) == 1:
        run = runs[0].in_file
        return f"{kind_of(run)} of {moment(run.run.started_at)}"
    if runs:
        return f"{counted(len(runs), 'run')} from {moment(runs[0].in_file.run.started_at)}"
    return f"What was read on {moment(tap_receipts[0].started_at)}" if tap_receipts else "Nothing to show"


def _head(style: str, script: str, title: str) -> str:
    """Return the page up to its heading; it may load nothing, and run nothing but its own script."""
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1></header>\n"
    )


def _notes(runs: Sequence[SourcedRun], left_out: Sequence[SourcedRun], old_receipts: int) -> str:
    parts = []
    if len(runs) == 1:
        parts.append(_facts(runs[0]))
    for each in runs:
        parts += [f'<p class="warning" role="alert">{escape(text)}</p>' for text in warnings_of(each.in_file)]
    if left_out:
        parts.append(
            f'<p class="warning">{counted(len(left_out), "older run")} did not fit into one page; '
            "ask for one with --run.</p>"
        )
    if old_receipts:
        parts.append(
            f'<p class="warning">{counted(old_receipts, "receipt")} of an older version are left out: '
            "they say of no run.</p>"
        )
    return "".join(parts)


def _facts(each: SourcedRun) -> str:
    """Return what one run is, in a few lines."""
    run = each.in_file.run
    pairs = [("CRM", run.account), ("Run", run.run_id)]
    if run.ended_at is not None:
        pairs.append(("Ended", moment(run.ended_at)))
    pairs += [("Meltano run", run.meltano_run_id or ""), ("Applied plan", run.plan_run_id or "")]
    pairs += [("Undoes run", run.undo_of or ""), ("CRM version", run.app_version or "")]
    shown = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs if value
    )
    lead = (
        '<p class="lead">Nothing has been written yet: this is what would be done.</p>' if run.planned else ""
    )
    return f'{lead}<dl class="facts">{shown}</dl>'


def _cards(runs: Sequence[SourcedRun]) -> str:
    """Return the counts of all runs that are shown, and their requests."""
    if not runs:
        return ""
    counts: Counter[str] = Counter()
    for each in runs:
        counts += each.in_file.counts
    planned = all(each.in_file.run.planned for each in runs)
    cards = [
        f'<li class="card {operation}{"" if counts[operation] else " none"}"><b>{counts[operation]:,}</b> '
        f"{escape(words_for(operation, planned=planned))}</li>"
        for operation in OPERATION_WORDS
        if counts[operation] or operation in ("delete", "create", "update", "reject")
    ]
    requests = sum(each.in_file.run.requests for each in runs)
    cards.append(
        f'<li class="card requests"><b>{requests:,}</b> requests {"to look" if planned else "sent"}'
        f"<small>{escape(minutes_phrase(requests))}</small></li>"
    )
    if planned and any(counts[operation] for operation in WRITES):
        to_apply = sum(requests_to_apply(each.in_file) for each in runs)
        cards.append(
            f'<li class="card requests"><b>{to_apply:,}</b> requests to apply'
            f"<small>{escape(minutes_phrase(to_apply))}</small></li>"
        )
    return f'<ul class="cards">{"".join(cards)}</ul>'


def _run_table(runs: Sequence[SourcedRun], shown: Sequence[SourcedRun]) -> str:
    rows = []
    for each in runs:
        run = each.in_file.run
        rows.append(
            [
                f"{kind_of(each.in_file)}{'' if each in shown else ' (not shown)'}",
                moment(run.started_at),
                "never" if run.ended_at is None else moment(run.ended_at),
                counts_sentence(each.in_file),
                f"{run.requests:,}, {minutes_phrase(run.requests)}",
                run.account,
                run.run_id,
            ]
        )
    return _table("Runs", ("What", "Started", "Ended", "Counts", "Requests", "CRM", "Run"), rows)


def _tap_table(receipts: Iterable[TapReceipt]) -> str:
    rows = [
        [
            each.stream,
            each.mode.replace("_", " "),
            "complete" if each.complete else "NOT COMPLETE",
            f"{each.records:,}" + (f" ({each.repaired:,} repaired)" if each.repaired else ""),
            f"{each.distinct_ids:,} of {'unknown' if each.total is None else format(each.total, ',')}",
            f"{each.requests:,}, {minutes_phrase(each.requests)}",
            f"{moment(each.bookmark_before) or 'none'} to {moment(each.bookmark_after) or 'none'}",
            f"{moment(each.started_at)} to {moment(each.ended_at) or 'never ended'}",
        ]
        for each in receipts
    ]
    names = ("Stream", "Mode", "Proven", "Records", "Contacts read", "Requests", "Bookmark", "When")
    return _table("Read from the CRM", names, rows)


def _table(title: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, each cell with its column's name, which a narrow screen shows beside it."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-name="{escape(name)}"{" class=bad" if value == "NOT COMPLETE" else ""}>{escape(value)}</td>'
            for name, value in zip(names, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<section class="table"><h2>{escape(title)}</h2><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></section>"
    )


def _run_label(each: SourcedRun, count: int) -> str:
    run = each.in_file.run
    return f"{kind_of(each.in_file)} {moment(run.started_at)}" if count > 1 else ""


def _controls(runs: Sequence[SourcedRun]) -> str:
    choice = ""
    if len(runs) > 1:
        options = "".join(
            f'<option value="{number}">{escape(_run_label(each, len(runs)))}</option>'
            for number, each in enumerate(runs)
        )
        choice = f'<label>Run <select id="run"><option value="">all</option>{options}</select></label>'
    return (
        '<noscript><p class="warning">The list needs JavaScript, which this browser does not run.</p></noscript>'
        '<div class="controls" role="search"><label class="grow">Search '
        '<input id="search" type="search" placeholder="name, address, value, reason, id" autocomplete="off" '
        'aria-keyshortcuts="/"></label>'
        f'{choice}<label>Field <select id="field"><option value="">any</option></select></label>'
        '<span class="buttons"><button id="unfold" type="button">Unfold all</button> '
        '<button id="fold" type="button">Fold all</button></span>'
        '<fieldset id="operations"><legend>Show</legend></fieldset>'
        '<p id="status" role="status" aria-live="polite"></p></div><main id="list"></main>'
    )
