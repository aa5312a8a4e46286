"""The command appcrm-report."""

from __future__ import annotations

import argparse
import json
import os
import sys
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from appcrm.contact import format_timestamp
from appcrm.errors import one_sentence
from appcrm.private_file import replace_private
from appcrm.text import counted, printable
from appcrm.version import VERSION
from appcrm_report.figures import counts_sentence, kind_of, moment
from appcrm_report.html import html_page
from appcrm_report.markdown import markdown_report
from appcrm_report.sources import ReportError, SourcedRun, Sources
from appcrm_report.undo import undo_of, undo_plan, undo_settings, undo_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appcrm.receipt_reader import RunInFile
    from appcrm_report.undo import Undo

PROGRAM = "appcrm-report"
STREAM_FILE, PLAN_FILE, SETTINGS_FILE = "undo.singer.jsonl", "undo.plan.singer.jsonl", "undo.settings.json"
MOST_LIMITS_SHOWN = 40

_EXAMPLES = f"""examples:
  {PROGRAM} html plan.singer.jsonl -o plan.html          one page to look at, before a plan is applied
  {PROGRAM} html receipts.singer.jsonl tap.json -o night.html
  {PROGRAM} markdown plan.singer.jsonl > plan.md          for a merge request; nobody's data in it
  {PROGRAM} undo receipts.singer.jsonl                    lists the runs of the file
  {PROGRAM} undo receipts.singer.jsonl --run RUN_ID -o undo

FILE is what target-appcrm wrote at receipts_path, or tap-appcrm at receipt_path.
Exit code 0: done. 1: a file cannot be used, or something cannot be done, and one sentence says why. 2: wrong usage.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    given = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = given.command
    try:
        code = command(given)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except BaseException as error:  # noqa: BLE001  the orderly end: whatever happens is one sentence
        _tell(one_sentence(error))
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return code


def _html(given: argparse.Namespace) -> int:
    with Sources(given.files) as sources:
        sources.refuse_edited()
        runs = sources.chosen(given.run)
        page = html_page(runs, sources.tap_receipts, sources.old_receipts)
    replace_private(given.output, page, "--output")
    sys.stdout.write(f"{given.output}\n")
    return 0


def _markdown(given: argparse.Namespace) -> int:
    with Sources(given.files) as sources:
        sources.refuse_edited()
        report = markdown_report(
            sources.chosen(given.run),
            sources.tap_receipts,
            with_values=given.values,
            old_receipts=sources.old_receipts,
        )
    if given.output is None:
        sys.stdout.write(report)
    else:
        replace_private(given.output, report.encode(), "--output")
    return 0


def _undo(given: argparse.Namespace) -> int:
    with Sources([given.file]) as sources:
        if not sources.runs:
            raise ReportError(
                f"{given.file} holds receipts of the tap, which changes nothing; name one of the target"
            )
        if given.run is None and len(sources.runs) > 1:
            return _list_runs(sources)
        chosen = sources.chosen([given.run] if given.run is not None else [])[0]
        _refuse_undo(chosen)
        if given.output is None:
            raise ReportError("name a folder for the undo: -o DIR")
        now = format_timestamp(datetime.now(tz=timezone.utc))
        undo = undo_of(chosen.receipts, now)
    run = chosen.in_file
    if not run.has_ended:
        _tell(
            f"run {run.run.run_id} never ended: what it wrote after its last receipt is not known, and not undone; "
            "look whether it still runs"
        )
    for line in undo.limits[:MOST_LIMITS_SHOWN]:
        sys.stdout.write(f"- {printable(line, 400)}\n")
    if len(undo.limits) > MOST_LIMITS_SHOWN:
        sys.stdout.write(f"- and {counted(len(undo.limits) - MOST_LIMITS_SHOWN, 'more such contact')}\n")
    if not undo.records:
        sys.stdout.write(f"Run {run.run.run_id} changed nothing that can be put back; nothing is written.\n")
        return 0
    _write_undo(Path(given.output), undo, chosen, now)
    return 0


def _refuse_undo(chosen: SourcedRun) -> None:
    """Refuse what is no run to undo.

    Raises:
        ReportError: a plan, or a run whose receipts are not what it wrote.
    """
    run = chosen.in_file
    if run.run.planned:
        raise ReportError(f"run {run.run.run_id} is a plan: it wrote nothing, so there is nothing to undo")
    if run.has_ended and not run.is_sealed:
        raise ReportError(f"{chosen.file.path}: {run.why_not_whole()}; take it as it was written")


def _list_runs(sources: Sources) -> int:
    """List the runs of a file, newest last, and say how to name one."""
    for each in sources.runs:
        run = each.in_file
        sys.stdout.write(
            f"{run.run.run_id}  {moment(run.run.started_at)}  {_state_of(run)}: {counts_sentence(run)}\n"
        )
    _tell(f"the file holds {len(sources.runs)} runs, so nothing is written; name one with --run RUN_ID")
    return 1


def _state_of(run: RunInFile) -> str:
    kind = kind_of(run)
    if not run.has_ended:
        return f"{kind}, never ended"
    return kind if run.is_sealed else f"{kind}, edited since"


def _write_undo(folder: Path, undo: Undo, chosen: SourcedRun, now: str) -> None:
    """Write stream, plan and settings, and say what to do with them.

    Raises:
        ReportError: there is an undo in the folder already.
    """
    for name in (STREAM_FILE, PLAN_FILE, SETTINGS_FILE):
        if (folder / name).exists():
            raise ReportError(f"{folder / name} is there already; name another folder, or remove it")
    run = chosen.in_file.run
    plan = str(folder / PLAN_FILE)
    settings = {**undo_settings(undo), "plan_path": plan}
    replace_private(str(folder / STREAM_FILE), b"".join(undo_stream(undo)), "--output")
    replace_private(plan, undo_plan(undo, run=run, run_id=str(uuid.uuid4()), now=now), "--output")
    replace_private(str(folder / SETTINGS_FILE), json.dumps(settings, indent=2).encode() + b"\n", "--output")
    counts = ", ".join(
        f"{counted(undo.count(name), 'contact')} to {verb}"
        for name, verb in (("delete", "delete"), ("update", "put back"), ("create", "create again"))
        if undo.count(name)
    )
    sys.stdout.write(
        f"The undo of run {run.run_id}: {counts}. What somebody changed since is left alone.\n"
        f"Look at it:  {PROGRAM} html {plan} -o {folder / 'undo.html'}\n"
        f"Apply it within a day, with your own settings before those of the undo:\n"
        f"  target-appcrm --config config.json --config {folder / SETTINGS_FILE} < {folder / STREAM_FILE}\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Shows what target-appcrm would do or did, and undoes a run.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    html = commands.add_parser("html", help="one page for a browser, without network")
    _add_files(html)
    html.add_argument(
        "-o", "--output", required=True, metavar="PAGE", help="where the page goes, readable by you alone"
    )
    html.set_defaults(command=_html)

    markdown = commands.add_parser("markdown", help="the same for a merge request, values hidden")
    _add_files(markdown)
    markdown.add_argument("--values", action="store_true", help="show keys, values and reasons")
    markdown.add_argument("-o", "--output", metavar="PATH", help="a file instead of standard output")
    markdown.set_defaults(command=_markdown)

    undo = commands.add_parser("undo", help="what puts back what a run changed: a stream and its plan")
    undo.add_argument("file", metavar="FILE", help="what target-appcrm wrote at receipts_path")
    undo.add_argument("--run", metavar="RUN_ID", help="the run, where the file holds several")
    undo.add_argument("-o", "--output", metavar="DIR", help="folder for the undo, made where it is missing")
    undo.set_defaults(command=_undo)
    return parser


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="receipts of target-appcrm or tap-appcrm")
    parser.add_argument(
        "--run",
        action="append",
        default=[],
        metavar="RUN_ID",
        help="only this run; may be given several times",
    )


def _tell(sentence: str) -> None:
    sys.stderr.write(f"{PROGRAM}: {sentence}\n")


def run_command() -> NoReturn:
    """Run the command as a process."""
    sys.exit(main())
