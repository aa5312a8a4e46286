#!/usr/bin/env python3
"""The main job with real parts: warehouse -> CRM -> warehouse, changes on both sides, and a proof at the end.

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
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import report
import warehouse
from crm import Crm, CrmError
from pipelines import PROJECT, Meltano, PipelineError
from postgres import DATABASE, HOST, USER, EmbeddedPostgres, PostgresError
from report import Step

_PLUGINS = ["tap-appcrm", "target-appcrm", "tap-postgres", "target-postgres", "tap-receipts"]
_HOUR = 3600
_SHOWN_DIFFERENCES = 10


class Demo:
    """The demo's two systems and what happened to them so far."""

    def __init__(self, folder: Path) -> None:
        self.steps: list[Step] = []
        self.receipts = folder / "receipts.singer.jsonl"
        self._postgres = EmbeddedPostgres(folder / "postgres")
        self._crm = Crm(folder / "crm")
        self._folder = folder

    def start(self) -> None:
        """Begin with an empty warehouse and an empty CRM, and install Meltano's plugins."""
        for leftover in (self.receipts, *self._folder.glob("rejects*")):
            leftover.unlink(missing_ok=True)
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
        """Load Chinook, and create its companies in the CRM, whose ids the model needs."""
        rows = warehouse.load_shop(self._connection)
        names = warehouse.companies(self._connection)
        warehouse.keep_company_ids(self._connection, {name: self._crm.create_company(name) for name in names})
        say(
            f"The warehouse holds {rows['customers']} customers and {rows['invoices']} invoices of a music shop;"
            f" the view model.contacts makes contacts of them. {len(names)} companies created in the CRM"
        )

    def warehouse_to_crm(self, name: str) -> None:
        """`meltano run tap-postgres target-appcrm`."""
        before, skip = self._crm.requests(), report.operations(self.receipts, 0).total()
        seconds = self._meltano.run("tap-postgres", "target-appcrm")
        counted = report.operations(self.receipts, skip)
        self._record(name, counted.total(), report.sentence(counted), before, seconds, dict(counted))

    def crm_to_warehouse(self, name: str) -> None:
        """`meltano run tap-appcrm target-postgres`."""
        before, moment = self._crm.requests(), warehouse.last_load(self._connection)
        seconds = self._meltano.run("tap-appcrm", "target-postgres")
        rows = warehouse.loaded_since(self._connection, moment)
        self._record(name, rows, f"{rows} upsert", before, seconds)

    def receipts_to_warehouse(self, name: str) -> None:
        """`meltano run tap-receipts target-postgres`."""
        before = self._crm.requests()
        seconds = self._meltano.run("tap-receipts", "target-postgres")
        rows = warehouse.count(self._connection, "appcrm.appcrm_receipts")
        self._record(name, rows, f"{rows} insert", before, seconds)

    def work_in_crm(self, edits: dict[str, dict[str, str]]) -> None:
        """An hour later, someone edits contacts by e-mail at the CRM's screen."""
        self._crm.advance_clock(_HOUR)
        for email, fields in edits.items():
            self._crm.edit(email, **fields)
            say(f"In the CRM: {email} is now {fields}")

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
            "phones, tags, companies, job title and custom fields."
        )
        return proof.holds

    def show_receipts(self) -> None:
        """The example query over the receipts: the changes of the second run."""
        print(
            "\nWhat target-appcrm changed, from its receipts in the warehouse (examples/receipts/receipts.sql):"
        )
        for at, operation, email, _, field, old, new, reason, *_ in warehouse.receipts(self._connection):
            if operation != "create":
                print(f"  {at:%H:%M:%S} {operation} {email} {field}: {old} -> {new} {reason or ''}".rstrip())

    def _record(
        self,
        name: str,
        rows: int,
        outcome: str,
        before: int,
        seconds: float,
        operations: dict[str, int] | None = None,
    ) -> None:
        step = Step(name, rows, outcome, self._crm.requests() - before, seconds, operations or {})
        self.steps.append(step)
        say(f"{name}: {rows} rows ({outcome}), {step.requests} requests, {seconds:.1f} s")

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
            # The proof compares companies too, and this CRM's list carries them without further requests.
            "TAP_APPCRM__SELECT": json.dumps(["contacts.*", "contact_associations.*"]),
            "TARGET_APPCRM_RECEIPTS_PATH": str(self.receipts),
            "TARGET_APPCRM_REJECTS_PATH": str(self._folder / "rejects-{started_at}.singer.jsonl"),
            "TAP_RECEIPTS_PATH": str(self.receipts),
        }


def play(demo: Demo) -> bool:
    """All steps in order; whether the proof holds."""
    demo.start()
    demo.fill_warehouse()
    demo.warehouse_to_crm("1 warehouse -> CRM, first run")
    demo.work_in_crm({"luisg@embraer.com.br": {"job_title": "Head of Design"}})
    demo.crm_to_warehouse("2 CRM -> warehouse, first run")
    demo.work_in_warehouse()
    demo.work_in_crm(
        {
            "bjorn.hansen@yahoo.no": {"job_title": "Head of Procurement"},
            "eduardo@woodstock.com.br": {"job_title": "Sócio"},
        }
    )
    demo.warehouse_to_crm("3 warehouse -> CRM, what changed")
    demo.crm_to_warehouse("4 CRM -> warehouse, what changed")
    demo.receipts_to_warehouse("5 receipts -> warehouse")
    print(f"\n{report.table(demo.steps)}\n")
    print(
        "A bookmark includes the row that it ended at, so steps 3 and 4 each read one row more than had changed; "
        "examples/demo/README.md\nexplains every step.\n"
    )
    holds = demo.prove()
    demo.show_receipts()
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
