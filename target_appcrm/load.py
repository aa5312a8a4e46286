"""One run of the target: its parts, put together, and its one orderly end."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import uuid
from dataclasses import replace
from datetime import datetime, timezone
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from appcrm.client import Client
from appcrm.contact import format_timestamp, is_custom_field
from appcrm.errors import one_sentence
from appcrm.private_file import check_writable, replace_private
from appcrm.receipts import Run, as_record, encode_line, settings_hash
from appcrm.text import counted
from target_appcrm.attempt import attempt
from target_appcrm.errors import InputError, RunIncomplete, RunStopped, Stopping
from target_appcrm.match.cache import ContactIndex
from target_appcrm.match.lookup import Lookups
from target_appcrm.report.decision_log import DecisionLog
from target_appcrm.report.open_rejects import OpenRejects
from target_appcrm.report.progress import Progress
from target_appcrm.report.receipts import ReceiptFile
from target_appcrm.report.rejects import RejectFile
from target_appcrm.report.summary import Summary
from target_appcrm.settings import STARTED_AT
from target_appcrm.state import States
from target_appcrm.write.association_calls import GROWN_SETS, NOT_SHOWN
from target_appcrm.write.context import Ceilings, Observations, RequestCounter, WriteContext
from target_appcrm.write.custom_fields import CustomFieldEncoding
from target_appcrm.write.deletes import Deletes
from target_appcrm.write.mirror import Mirror
from target_appcrm.write.pipeline import KEYLESS, Pipeline
from target_appcrm.write.plan import read_plan
from target_appcrm.write.record_processor import RecordProcessor
from target_appcrm.write.refusals import WriteFaults
from target_appcrm.write.update import NEVER_CLEARED, RETRIEVES_FOR_ASSOCIATIONS
from target_appcrm.write.upsert import GONE
from target_appcrm.write.waiting import WaitingForAddress
from target_appcrm.write.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from appcrm.settings import ApiSettings
    from target_appcrm.settings import TargetSettings

KILLED_BY = 128
"""Added to a signal's number, this is the exit code of a run that it ended."""

logger = logging.getLogger("target-appcrm")


class Terminated(RunStopped):
    """A signal asks the run to end."""


def utc_now() -> datetime:
    """Return the moment, in UTC."""
    return datetime.now(tz=timezone.utc)


class Load:
    """The parts of one run; nothing is sent yet, and of the files the receipts alone are begun.

    Args:
        settings: of the target.
        api: of the client.
        stream_maps: as configured, because they decide what is written.
        emit: writes a state to standard output.
        environment: of the process.

    Raises:
        SettingsError: a file that cannot be used, or a plan that must not be applied.
    """

    def __init__(
        self,
        settings: TargetSettings,
        api: ApiSettings,
        stream_maps: Mapping[str, Any],
        *,
        emit: Callable[[object], None],
        environment: Mapping[str, str] = os.environ,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._began_at = time.monotonic()
        self._now = now
        self.settings = settings
        self.stopping = threading.Event()
        self.signal: int | None = None
        # A signal may come while its thread holds any lock; this queue alone is safe to use all the same.
        self._ending: SimpleQueue[None] = SimpleQueue()
        self._waited_seconds = 0.0
        self._waits_until = 0.0
        self._progress = Progress(lambda line: logger.info("%s", line), time.monotonic)
        self._is_over = False
        started_at = now()
        moment = started_at.strftime("%Y%m%dT%H%M%SZ")
        rejects_path = settings.rejects_path.replace(STARTED_AT, moment)
        receipts_path = settings.receipts_path and settings.receipts_path.replace(STARTED_AT, moment)
        self._summary_path = settings.summary_path and settings.summary_path.replace(STARTED_AT, moment)
        account = api.account
        deciding = settings_hash(settings.deciding(stream_maps))
        self.plan = None
        if settings.plan_path is not None:
            self.plan = read_plan(
                settings.plan_path,
                account=account,
                settings_hash=deciding,
                max_age_hours=settings.plan_max_age_hours,
                now=now,
            )
            if self.plan.is_undo:
                settings = self.settings = settings.for_undo()
        if not settings.dry_run:
            check_writable(rejects_path, "rejects_path")
        if self._summary_path is not None:
            check_writable(self._summary_path, "summary_path")
        self._run = Run(
            run_id=str(uuid.uuid4()),
            started_at=format_timestamp(started_at),
            account=account,
            planned=settings.dry_run,
            settings=deciding,
            meltano_run_id=environment.get("MELTANO_RUN_ID"),
            plan_run_id=None if self.plan is None else self.plan.run.run_id,
        )
        requests = RequestCounter()
        self.client = Client.from_settings(api, sleep=self.sleep, on_request=requests.note)
        threading.Thread(target=self._await_ending, name="ending", daemon=True).start()
        self.summary = Summary()
        self.open_rejects = (
            OpenRejects(rejects_path, now, is_saved=not settings.dry_run) if settings.retry_rejects else None
        )
        self._receipts = ReceiptFile(receipts_path, self._run, now)
        self._rejects = RejectFile(rejects_path, self.open_rejects, now)
        self._write_summary(self._run)
        self._workers = Workers(api.concurrency)
        self._index = ContactIndex(settings.key_fields)
        lookups = Lookups(
            self.client,
            settings,
            self._workers,
            self._index,
            lambda: self.client.abilities,
            None if self.plan is None else self.plan.companies,
        )
        self.log = DecisionLog(
            settings, self.summary, self._receipts, self._rejects, self.open_rejects, lookups.names.of_changes
        )
        limits = {"create": settings.max_creates, "update": settings.max_updates}
        self.ctx = WriteContext(
            client=self.client,
            settings=settings,
            lookups=lookups,
            encoding=CustomFieldEncoding(
                lambda name: is_custom_field(name, settings.custom_names), lookups.example
            ),
            ceilings=Ceilings(
                {name: limit for name, limit in limits.items() if limit is not None},
                lookups.total,
                stops=not settings.dry_run,
            ),
            seen=Observations(),
            requests=requests,
            sleep=self.sleep,
        )
        self.states = States(self.log.make_durable, _emit_nothing if settings.dry_run else emit)
        waiting = WaitingForAddress(
            is_of_use=not settings.dry_run and (settings.allow_deletes or "email" not in settings.key_fields)
        )
        self.mirror = Mirror(self.client, is_allowed=settings.allow_deletes)
        faults = WriteFaults()
        deletes = Deletes(
            ctx=self.ctx,
            log=self.log,
            mirror=self.mirror,
            workers=self._workers,
            faults=faults,
            states=self.states,
            plan=self.plan,
        )
        processor = RecordProcessor(
            ctx=self.ctx,
            log=self.log,
            deletes=deletes,
            plan=self.plan,
            waiting=waiting,
            states=self.states,
            faults=faults,
            stopping=self.stopping,
        )
        self.pipeline = Pipeline(
            ctx=self.ctx,
            log=self.log,
            workers=self._workers,
            processor=processor,
            waiting=waiting,
            deletes=deletes,
            states=self.states,
            stopping=self.stopping,
        )
        self.pipeline.when_waiting = self.tell_progress

    def take_signal(self, signum: int) -> None:
        """Begin nothing new, and wait for no read: what is being written ends. Safe to call from a signal handler."""
        self.signal = signum
        self._ending.put(None)

    def _await_ending(self) -> None:
        self._ending.get()
        self.stopping.set()
        self.client.break_off_reads()

    def sleep(self, seconds: float) -> None:
        """Wait, unless the run is ending: what waits has not been sent."""
        began_at = time.monotonic()
        self._waits_until = max(self._waits_until, began_at + seconds)
        is_ending = self.stopping.wait(seconds)
        self._waited_seconds += time.monotonic() - began_at
        if is_ending:
            raise Stopping("the run was ended")

    def tell_progress(self) -> None:
        """Tell how far the run is, where that is due."""
        self._progress.look(
            read=self.summary.records,
            done=self.pipeline.done,
            requests=self.client.requests_sent,
            waits_seconds=self._waits_until - time.monotonic(),
        )

    def check_signal(self) -> None:
        """End the run where a signal asked for it.

        Raises:
            Terminated: it did.
        """
        if self.signal is not None:
            raise Terminated("a signal ended the run")

    def check_done(self) -> None:
        """Check that all was done.

        Raises:
            RunIncomplete: there are more rejects than are allowed, or a dry run found more than a ceiling.
        """
        passed = self.ctx.ceilings.passed()
        if passed:
            raise RunIncomplete(
                f"The plan goes beyond {' and '.join(passed)}, so a run that writes would stop there; raise it if the "
                "plan is right"
            )
        if not self.log.has_too_many_rejects:
            return
        # A dry run keeps none, and neither a plan nor a delete of a mirror that the CRM refused has a record.
        if self._rejects.count:
            what_to_do = f"see {self._rejects.path}, fix them and pipe the file back in"
        else:
            what_to_do = "receipts_path says which and why"
        raise RunIncomplete(
            f"{counted(self.summary.rejects, 'reject')} among {counted(self.summary.records, 'record')} are more than "
            f"max_rejects allows; {what_to_do}"
        )

    def end(self, error: BaseException | None) -> int:
        """End the run, whatever ended it, and return its exit code.

        What is in flight ends, receipts and rejects are on disk, the true state goes out, and people are told. Each
        step is taken whatever became of the one before.
        """
        self._is_over = True
        if error is not None:
            if isinstance(error, InputError):
                # What came before the line that cannot be read is whole, so it is written.
                error = attempt(self.pipeline.drain) or error
            self.stopping.set()
            self.client.break_off_reads()
            error = self._in_spite_of(error, self.pipeline.break_off, self.states.emit)
        error = self._in_spite_of(
            error, self._workers.close, self.states.close, self._rejects.close, self._index.close
        )
        if isinstance(error, Stopping) and self.signal is not None:
            error = Terminated("a signal ended the run")
        code = exit_code(error, self.signal)
        run = self._ended_run(error, code)
        sealed = [run]
        failure = self._in_spite_of(
            None,
            lambda: sealed.append(self._receipts.end(run)),
            lambda: self._write_summary(sealed[-1]),
        )
        if failure is not None and error is None:
            error, code = failure, 1
        self._tell(error)
        return code

    @staticmethod
    def _in_spite_of(error: BaseException | None, *steps: Callable[[], object]) -> BaseException | None:
        """Take each step, whatever became of the one before; return the first error."""
        for step in steps:
            failure = attempt(step)
            error = error or failure
        return error

    def _ended_run(self, error: BaseException | None, code: int) -> Run:
        waiting = self.open_rejects
        return replace(
            self._run,
            ended_at=format_timestamp(self._now()),
            app_version=self.client.abilities.app_version,
            records=self.summary.records,
            counts={**self._run.counts, **self.summary.operations},
            open_rejects=None if waiting is None else len(waiting),
            oldest_open_reject_at=None if waiting is None else waiting.oldest_at,
            requests=self.client.requests_sent,
            waited_seconds=round(self._waited_seconds, 1),
            exit_code=code,
            error=None if error is None else sentence_of(error, self.signal),
        )

    def _write_summary(self, run: Run) -> None:
        if self._summary_path is not None:
            replace_private(self._summary_path, encode_line(as_record(run)), "summary_path")

    def _tell(self, error: BaseException | None) -> None:
        """Tell people what was done: what was refused, what was noticed, the counts, and last what went wrong."""
        for line in self.summary.reject_lines():
            logger.warning("%s", line)
        for line in self.ctx.lookups.names.warnings():
            logger.warning("%s", line)
        left_out = self.ctx.lookups.names.left_out | self.ctx.seen.learned(NOT_SHOWN)
        never_cleared = self.ctx.lookups.names.never_cleared | self.ctx.seen.learned(NEVER_CLEARED)
        for line in noticed(
            self.ctx.seen, left_out, never_cleared, self.summary.repeated, self.settings.key_fields
        ):
            logger.warning("%s", line)
        retrieves = self.ctx.seen.seen(RETRIEVES_FOR_ASSOCIATIONS)
        if retrieves:
            logger.info(
                "%s went into reading associations, which the CRM's lists do not carry",
                counted(retrieves, "request"),
            )
        open_rejects = None if self.open_rejects is None else self.open_rejects.line()
        if open_rejects is not None:
            logger.warning("%s", open_rejects)
        if self.settings.dry_run and self.settings.receipts_path is None:
            logger.info("Set receipts_path to have the plan, which says for each record what would be done")
        # Said at every log level.
        summary_logger = logging.getLogger("target-appcrm.summary")
        summary_logger.setLevel(logging.INFO)
        summary_logger.info(
            "%s",
            self.summary.line(
                requests=self.client.requests_sent,
                seconds=time.monotonic() - self._began_at,
                planned=self.settings.dry_run,
                has_failed=error is not None,
            ),
        )
        if error is not None and not isinstance(error, SystemExit):
            logger.error("%s", sentence_of(error, self.signal))


def noticed(
    seen: Observations,
    left_out: frozenset[tuple[str, int]],
    never_cleared: frozenset[str],
    repeated: int,
    key_fields: Sequence[str],
) -> list[str]:
    """Return a sentence for each thing that people should know beside counts."""
    lines = []
    if count := seen.seen(GROWN_SETS):
        lines.append(
            f"{counted(count, 'contact has', 'contacts have')} more associations after a sync than were asked for: the "
            "token may not see all companies or deals, or the CRM attaches companies by e-mail domain"
        )
    if left_out:
        names, they = sorted({name for name, _ in left_out}), "it" if len(left_out) == 1 else "them"
        lines.append(
            f"{counted(len(left_out), 'id')} of {' and '.join(names)} left out: the CRM does not have {they}, or does "
            f"not show {they} to this token"
        )
    if never_cleared:
        lines.append(
            f"Not emptied, because the CRM does not empty such fields: {', '.join(sorted(never_cleared))} "
            "(a select ignores null)"
        )
    if count := seen.seen(GONE):
        lines.append(
            f"{counted(count, 'record')} skipped because the contact is gone: its id means nothing in this CRM any "
            "more, so it is not created anew; name email in match_on if it should be"
        )
    if count := seen.seen(KEYLESS):
        lines.append(
            f"{counted(count, 'record')} had no match key ({', '.join(key_fields)}): each is created anew each time it "
            "comes, also when a tap reads it twice. Name a field that every record has in match_on, or "
            "set external_id_field"
        )
    if repeated:
        lines.append(
            f"{counted(repeated, 'record')} meant a contact that an earlier record of this input meant: where they "
            "differ, each overwrites the one before, in every run"
        )
    return lines


def exit_code(error: BaseException | None, signum: int | None) -> int:
    """Return the exit code of a run that this ended."""
    if error is None:
        return 0
    if isinstance(error, Terminated) and signum is not None:
        return KILLED_BY + signum
    if isinstance(error, KeyboardInterrupt):
        return KILLED_BY + signal.SIGINT
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code
    return 1


def sentence_of(error: BaseException, signum: int | None) -> str:
    """Return what ended a run as one sentence."""
    if isinstance(error, KeyboardInterrupt) or (isinstance(error, Terminated) and signum == signal.SIGINT):
        return "Stopped by you: what was in flight has ended, and the state is written; run again to go on"
    if isinstance(error, Terminated):
        return "Signal received: what was in flight has ended, and the state is written; run again to go on"
    return one_sentence(error)


def _emit_nothing(state: object) -> None:
    """Keep a dry run's states back: they would say that something was written."""
