"""The first requests of a plain run, sent while the SDK is still being imported.

The import takes longer than several round trips. Where the command names a catalog that selects all of contacts and
nothing else, and settings and state that are as they should be, what is to be read is known without the SDK: the
reading begins in the background, and the tap takes it over if it would have begun the very same one. Any other
command, and any mistake in its files, sends nothing from here: the tap says what is wrong.
"""

from __future__ import annotations

import logging
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from appcrm.client import Client
from appcrm.errors import AppcrmError
from appcrm.schemas import load_schema
from tap_appcrm.replication.read_context import Run
from tap_appcrm.replication.replication import Reading
from tap_appcrm.settings import CONFIG_SCHEMA, STREAM_ORDER, TapSettings, api_settings, takes
from tap_appcrm.source.list_source import ApiSource
from tap_appcrm.source.row_decoder import FastRows
from tap_appcrm.source.thread_pool import Stop, Workers
from tap_appcrm.state import StreamState, bookmarks_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from appcrm.settings import ApiSettings
    from tap_appcrm.replication.replication import Step
    from tap_appcrm.source.records import Schema

STREAM = "contacts"
FILE_OPTIONS = frozenset({"--config", "--catalog", "--state"})
NEEDED_OPTIONS = frozenset({"--config", "--catalog"})
LOGGERS = ("appcrm", "tap-appcrm")


class _Metadata(msgspec.Struct):
    breadcrumb: list[str]
    metadata: dict[str, Any]

    def selects(self, *, by_default: bool) -> bool:
        return bool(self.metadata.get("selected", self.metadata.get("selected-by-default", by_default)))


class _Entry(msgspec.Struct):
    tap_stream_id: str
    schema: dict[str, Any]
    metadata: list[_Metadata]
    replication_method: str = "INCREMENTAL"


class _Catalog(msgspec.Struct):
    streams: list[_Entry]


class Plan(msgspec.Struct, frozen=True):
    """What a plain run reads, as far as its files tell: the tap finds out for itself, and compares."""

    api: ApiSettings
    settings: TapSettings
    state: dict[str, Any]
    """Of the stream, as it stands in the file."""
    schema: Schema
    """Of the stream, with all its properties."""


def plan_of(arguments: Sequence[str]) -> Plan | None:
    """Return what a plain run reads, or None for any other run and for files that hold a mistake.

    Args:
        arguments: of the command.
    """
    paths = _paths(arguments)
    if paths is None:
        return None
    try:
        # Only what stays there when it is read: a pipe is the tap's own to read.
        files = {option: path.read_bytes() for option, path in paths.items() if path.is_file()}
        if files.keys() != paths.keys():
            return None
        config = msgspec.json.decode(files["--config"], type=dict[str, Any])
        catalog = msgspec.json.decode(files["--catalog"], type=_Catalog)
        state = bookmarks_of(msgspec.json.decode(files.get("--state", b"{}")), STREAM_ORDER).get(STREAM, {})
        entry = _plain_entry(catalog)
        known = CONFIG_SCHEMA["properties"]
        if entry is None or not all(name in known and takes(known[name], config[name]) for name in config):
            return None
        return Plan(api_settings(config), TapSettings.from_config(config), state, entry.schema)
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError, AppcrmError):
        return None


def _paths(arguments: Sequence[str]) -> dict[str, Path] | None:
    """Return the file of each option, or None where the command has any other option or one of them twice."""
    paths: dict[str, Path] = {}
    words = iter(arguments)
    for word in words:
        option, has_value, value = word.partition("=")
        if option not in FILE_OPTIONS or option in paths:
            return None
        paths[option] = Path(value if has_value else next(words, ""))
    return paths if paths.keys() >= NEEDED_OPTIONS else None


def _plain_entry(catalog: _Catalog) -> _Entry | None:
    """Return the entry of contacts, where the catalog selects all of it and nothing else."""
    chosen = {entry.tap_stream_id: entry for entry in catalog.streams if _is_selected(entry)}
    entry = chosen.get(STREAM)
    if entry is None or len(chosen) > 1 or entry.replication_method != "INCREMENTAL":
        return None
    if not isinstance(entry.schema.get("properties"), dict):
        return None
    return entry if all(each.selects(by_default=True) for each in entry.metadata) else None


def _is_selected(entry: _Entry) -> bool:
    return any(each.selects(by_default=False) for each in entry.metadata if not each.breadcrumb)


class BegunReading(Reading):
    """A reading whose first step is on its way."""

    is_begun = True

    def begin(self, driver: Workers) -> None:
        """Read up to the first step in the background."""
        self._going = super().steps()
        self._first = driver.submit(next, self._going, None)

    def steps(self) -> Iterator[Step]:
        """Yield the first step, once it is there, and all that follow."""
        first = self.run.workers.result(self._first)
        if first is not None:
            yield first
            yield from self._going


class HeadStart:
    """A reading begun for a plan, with the client and the threads that it uses.

    Args:
        plan: what is read.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.stop = Stop()
        self.client = Client.from_settings(plan.api, sleep=self.stop.sleep)
        self.workers = Workers(plan.settings.concurrency, self.stop)
        source = ApiSource(self.client, plan.settings)
        source.fast = FastRows(
            plan.schema, load_schema(STREAM), key={}, custom_fields=plan.settings.custom_fields
        )
        run = Run(STREAM, source, self.workers, plan.settings.page_size)
        self.reading = BegunReading(run, plan.settings, StreamState.parse(STREAM, plan.state))

    def begin(self) -> None:
        """Send the first requests in the background."""
        self.reading.begin(Workers(1, self.stop))

    def abandon(self) -> None:
        """Send no more: nobody takes the reading over."""
        self.stop.tell(signal.SIGTERM)


class HeldMessages(logging.Handler):
    """Messages from before it is known where messages go."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self._records.append(record)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep all messages of the product meanwhile."""
        loggers = [logging.getLogger(name) for name in LOGGERS]
        for logger in loggers:
            logger.setLevel(logging.INFO)
            logger.propagate = False
            logger.addHandler(self)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeHandler(self)
                logger.propagate = True
                logger.setLevel(logging.NOTSET)

    def let_out(self) -> None:
        """Hand on what was kept, now that somebody takes it."""
        for record in self._records:
            logger = logging.getLogger(record.name)
            if logger.isEnabledFor(record.levelno):
                logger.handle(record)
        self._records.clear()
