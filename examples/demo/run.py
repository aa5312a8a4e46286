#!/usr/bin/env python3
"""The main job with real parts: warehouse -> CRM -> warehouse, by a plan, with a mistake undone and a proof at the end.

`make demo` sets everything up and runs this. It needs no account and no server: PostgreSQL comes out of a Python wheel,
the CRM is the sandbox of this package, Meltano and its plugins come from the package registry. All files lie in .demo/.
Exits 0 only if model, CRM and the table that came back hold the same people.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import report
import warehouse
from crm import Crm, CrmError
from pipelines import PROJECT, Meltano, PipelineError, own_command
from postgres import DATABASE, HOST, USER, EmbeddedPostgres, PostgresError
from report import Step

_PLUGINS = ["tap-appcrm", "target-appcrm", "tap-postgres", "target-postgres", "tap-receipts"]
_HOUR = 3600
_SHOWN_DIFFERENCES = 10


class Demo:
    """The demo's two systems and what happened to them so far."""

    def __init__(self, folder: Path) -> None:
        self.steps: list[Step] = []
        self._postgres = EmbeddedPostgres(folder / "postgres")
        self._crm = Crm(folder / "crm")
        self._folder = folder
        self._plan, self._receipts, self._summary = (
            folder / name for name in ("plan.singer.jsonl", "receipts.singer.jsonl", "summary.json")
        )

    def start(self) -> None:
        """Begin with an empty warehouse and an empty CRM, and install Meltano's plugins."""
        for leftover in (self._plan, self._receipts, self._summary, *self._folder.glob("rejects*")):
            leftover.unlink(missing_ok=True)
        shutil.rmtree(self._folder / "undo", ignore_errors=True)
        self._postgres.start()
        self._crm.start()
        say(
            f"PostgreSQL listens on port {self._postgres.port}, the CRM (appcrm-sandbox) at {self._crm.api_url}"
        )
        self._connection = self._postgres.connect()
        self._meltano = Meltano(self._folder, self._settings())
        self._meltano.begin_anew()
        began = time.monotonic()
        if self._meltano.install(_PLUGINS):
            say(f"Meltano installed {', '.join(_PLUGINS)} in {time.monotonic() - began:.0f} s")

    def stop(self) -> None:
        """Stop both servers; nothing of them stays."""
        with contextlib.suppress(AttributeError):
            self._connection.close()
        self._crm.stop()
        self._postgres.stop()

    def fill_warehouse(self) -> None:
        """Load Chinook, whose companies are in the CRM already, and whose support reps are its users."""
        rows = warehouse.load_shop(self._connection)
        reps = warehouse.keep_support_reps(self._connection, self._crm.users())
        names = warehouse.companies(self._connection)
        for name in names:
            self._crm.create_company(name)
        say(
            f"The warehouse holds {rows['customers']} customers and {rows['invoices']} invoices of a music shop; the"
            " view model.contacts makes contacts of them"
        )
        say(
            f"The CRM holds no contact yet, but {len(names)} of their companies and {reps} of their support reps"
        )

    def plan(self, name: str) -> None:
        """A dry run of `meltano run tap-postgres target-appcrm`, and the page that shows what it would do."""
        self._into_crm(name, DRY_RUN="true", RECEIPTS_PATH=str(self._plan))
        page = str(self._folder / "plan.html")
        own_command("appcrm-report", "html", str(self._plan), "-o", page)
        say(f"What it would do, to look at in a browser: {page}")

    def apply_plan(self, name: str) -> None:
        """The same command, held to the plan."""
        self._into_crm(name, PLAN_PATH=str(self._plan))

    def warehouse_to_crm(self, name: str) -> str:
        """`meltano run tap-postgres target-appcrm`; returns the run's id."""
        return self._into_crm(name)

    def undo(self, name: str, run_id: str) -> None:
        """Take one run back: `appcrm-report undo`, then the command that it prints."""
        before, began = self._crm.requests(), time.monotonic()
        folder, config = self._folder / "undo", self._folder / "config.json"
        own_command("appcrm-report", "undo", str(self._receipts), "--run", run_id, "-o", str(folder))
        settings = {"api_url": self._crm.api_url, "auth_token": self._crm.token}
        paths = {"receipts_path": str(self._receipts), "summary_path": str(self._summary)}
        config.touch(mode=0o600)
        config.write_text(json.dumps(settings | paths), encoding="utf-8")
        own_command(
            *("target-appcrm", "--config", str(config), "--config", str(folder / "undo.settings.json")),
            stdin=folder / "undo.singer.jsonl",
        )
        run = report.read_summary(self._summary)
        self._record(name, run.records, run.sentence, before, time.monotonic() - began, run.counts)

    def crm_to_warehouse(self, name: str) -> None:
        """`meltano run tap-appcrm target-postgres`."""
        before, moment = self._crm.requests(), warehouse.last_load(self._connection)
        seconds = self._meltano.run("tap-appcrm", "target-postgres")
        counts = warehouse.loaded_since(self._connection, moment)
        outcome = ", ".join(f"{number} {table}" for table, number in counts.items() if number) + " loaded"
        self._record(name, sum(counts.values()), outcome, before, seconds, counts)

    def receipts_to_warehouse(self, name: str) -> None:
        """`meltano run tap-receipts target-postgres`."""
        before = self._crm.requests()
        seconds = self._meltano.run("tap-receipts", "target-postgres")
        counts = {
            what: warehouse.count(self._connection, f"appcrm.appcrm_{what}") for what in ("receipts", "runs")
        }
        outcome = f"{counts['receipts']} receipts of {counts['runs']} runs loaded"
        self._record(name, sum(counts.values()), outcome, before, seconds, counts)

    def work_in_crm(self, edits: dict[str, dict[str, str]], deals: dict[str, str] | None = None) -> None:
        """An hour later, someone edits contacts and makes deals by e-mail at the CRM's screen."""
        self._crm.advance_clock(_HOUR)
        for email, fields in edits.items():
            self._crm.edit(email, **fields)
            say(f"In the CRM: {email} is now {', '.join(fields.values())}")
        for email, deal in (deals or {}).items():
            self._crm.create_deal(deal, email)
            say(f"In the CRM: a deal for {email}, {deal}")

    def make_mistake(self) -> None:
        """The shop's till writes something wrong."""
        say(f"In the warehouse: {warehouse.make_mistake(self._connection)}")

    def mend_mistake(self) -> None:
        """And mends it."""
        say(f"In the warehouse: {warehouse.mend_mistake(self._connection)}")

    def work_in_warehouse(self) -> None:
        """The shop's till writes on."""
        for event in warehouse.change_two_customers(self._connection):
            say(f"In the warehouse: {event}")

    def prove(self) -> bool:
        """Say, by a query, whether all sides hold the same people."""
        proof = warehouse.prove(self._connection, self._crm.contacts())
        for email, field, sides in proof.differences[:_SHOWN_DIFFERENCES]:
            print(f"  DIFFERENT {email} {field}: {sides}")
        print(
            f"Proof (examples/demo/proof.sql): {proof.model} people in the model, {proof.crm} in the CRM by its own "
            f"API, {proof.loaded} in the table loaded back;\n{len(proof.differences)} differences in names, address, "
            "phones, tags, companies, owner, job title and custom fields."
        )
        return proof.holds

    def show_warehouse(self) -> None:
        """Two queries: what the receipts say of the last run, and whom the CRM's tables know."""
        print("\nThe last changes, from the receipts (examples/receipts/receipts.sql):\n")
        print(report.indented(warehouse.last_changes(self._connection)))
        print("\nContacts with their companies, deals and owners, by names (examples/demo/join.sql):\n")
        print(report.indented(warehouse.joined(self._connection)))

    def _into_crm(self, name: str, **settings: str) -> str:
        before = self._crm.requests()
        settings = {f"TARGET_APPCRM_{setting}": value for setting, value in settings.items()}
        seconds = self._meltano.run("tap-postgres", "target-appcrm", **settings)
        run = report.read_summary(self._summary)
        self._record(name, run.records, run.sentence, before, seconds, run.counts)
        return run.run_id

    def _record(
        self, name: str, rows: int, outcome: str, before: int, seconds: float, counts: dict[str, int]
    ) -> None:
        step = Step(name, rows, outcome, self._crm.requests() - before, seconds, counts)
        self.steps.append(step)
        say(f"Step {name}: {outcome}")

    def _settings(self) -> dict[str, str]:
        crm = {"API_URL": self._crm.api_url, "AUTH_TOKEN": self._crm.token}
        database = {
            "HOST": HOST,
            "PORT": str(self._postgres.port),
            "USER": USER,
            "PASSWORD": "any",
            "DATABASE": DATABASE,
        }
        settings = {
            f"{plugin}_APPCRM_{name}": value for plugin in ("TAP", "TARGET") for name, value in crm.items()
        }
        settings |= {
            f"{plugin}_POSTGRES_{name}": v for plugin in ("TAP", "TARGET") for name, v in database.items()
        }
        return settings | {
            "TAP_APPCRM__SELECT": json.dumps([f"{stream}.*" for stream in warehouse.STREAMS]),
            "TARGET_APPCRM_RECEIPTS_PATH": str(self._receipts),
            "TARGET_APPCRM_REJECTS_PATH": str(self._folder / "rejects-{started_at}.singer.jsonl"),
            "TARGET_APPCRM_SUMMARY_PATH": str(self._summary),
            "TAP_RECEIPTS_PATH": str(self._receipts),
        }


def play(demo: Demo) -> bool:
    """All steps in order; whether the proof holds."""
    demo.start()
    demo.fill_warehouse()
    demo.plan("1 warehouse -> CRM, a plan")
    demo.apply_plan("2 warehouse -> CRM, as planned")
    demo.make_mistake()
    wrong = demo.warehouse_to_crm("3 warehouse -> CRM, the mistake")
    demo.undo("4 undo of step 3", wrong)
    demo.mend_mistake()
    demo.work_in_crm({"luisg@embraer.com.br": {"job_title": "Head of Design"}})
    demo.crm_to_warehouse("5 CRM -> warehouse")
    demo.work_in_warehouse()
    demo.work_in_crm(
        {"bjorn.hansen@yahoo.no": {"job_title": "Head of Procurement"}},
        {"eduardo@woodstock.com.br": "A stage for Woodstock"},
    )
    demo.warehouse_to_crm("6 warehouse -> CRM, what changed")
    demo.crm_to_warehouse("7 CRM -> warehouse, what changed")
    demo.receipts_to_warehouse("8 receipts -> warehouse")
    print(f"\n{report.table(demo.steps)}\n\nexamples/demo/README.md explains every step.\n")
    holds = demo.prove()
    demo.show_warehouse()
    return holds


def say(sentence: str) -> None:
    """One step, for people."""
    print(f"* {sentence}.", flush=True)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make sure that no other demo uses the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"demo: another demo runs in {folder}; wait for it or stop it.")
        yield


def main() -> int:
    """The command; 0 if the proof holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--folder", type=Path, default=PROJECT / ".demo", help="for all its files (default %(default)s)"
    )
    parser.add_argument("--report", type=Path, help="write the steps there as JSON too")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    with alone_in(given.folder):
        demo = Demo(given.folder.resolve())
        try:
            holds = play(demo)
        except KeyboardInterrupt:
            sys.exit("\ndemo: interrupted; its servers are stopped.")
        except (PipelineError, PostgresError, CrmError) as error:
            sys.exit(f"demo: {error}")
        finally:
            demo.stop()
    if given.report:
        result = {"holds": holds, "steps": [dataclasses.asdict(step) for step in demo.steps]}
        given.report.write_text(json.dumps(result), encoding="utf-8")
    if not holds:
        sys.exit(f"demo: the sides differ, see above; logs are in {given.folder / 'logs'}.")
    print(f"\nAll sides hold the same people. {time.monotonic() - began:.0f} s in all.")
    return 0


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
