"""target-appcrm: Singer records into AppCRM contacts."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from singer_sdk import Target
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.exceptions import MapExpressionError, StreamMapConfigError
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import PluginCapabilities, TargetCapabilities
from singer_sdk.mapper import RemoveRecordTransform
from singer_sdk.singerlib.json import serialize_json

from appcrm.client import Client
from appcrm.errors import AppcrmError, SettingsError
from appcrm.private_file import check_writable
from appcrm.settings import ApiSettings, from_environment
from appcrm.version import VERSION
from target_appcrm.errors import (
    InputError,
    RecordBeforeSchema,
    RunIncomplete,
    StateLost,
    UnknownStream,
    Unwritable,
)
from target_appcrm.match.cache import ContactIndex
from target_appcrm.match.lookup import Lookups
from target_appcrm.read.message_reader import LineReader
from target_appcrm.read.stream_maps import apply_map, computed, without_guesses
from target_appcrm.read.stream_schema import STREAMS
from target_appcrm.report.receipts import ReceiptFile, utc_now
from target_appcrm.report.rejects import RejectFile
from target_appcrm.report.summary import Summary
from target_appcrm.settings import SETTINGS, TargetSettings
from target_appcrm.sinks import ContactsSink
from target_appcrm.state import States
from target_appcrm.write.deletes import Deletes
from target_appcrm.write.pipeline import Pipeline
from target_appcrm.write.record_processor import Applier, Stopping
from target_appcrm.write.upsert import Writer
from target_appcrm.write.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    import click
    from singer_sdk.helpers.capabilities import CapabilitiesEnum
    from singer_sdk.plugin_base import _ConfigInput

    from appcrm.session import SentRequest

TERMINATED = 128
"""Added to a signal's number, this is the exit code of a run that it ended."""


class Terminated(AppcrmError):
    """A signal asks the run to end."""


class SourceStream(NamedTuple):
    """A stream as the input describes it, before stream maps."""

    name: str
    schema: dict[str, Any]
    key_properties: Sequence[str] | None


class ThreadRequests:
    """Counts the requests of each thread, so that each decision knows what it cost."""

    def __init__(self) -> None:
        self._local = threading.local()

    def note(self, _: SentRequest) -> None:
        """Count one request of the calling thread."""
        self._local.count = self.of_thread() + 1

    def of_thread(self) -> int:
        """Return how many requests the calling thread has sent."""
        count: int = getattr(self._local, "count", 0)
        return count


class TargetAppcrm(Target):
    """Singer target for AppCRM: creates, updates and deletes contacts and keeps their associations."""

    name = "target-appcrm"
    package_name = "appcrm-connectors"
    config_jsonschema: ClassVar[dict[str, Any]] = SETTINGS
    default_sink_class = ContactsSink
    message_reader_class = LineReader
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
        PluginCapabilities.ACTIVATE_VERSION,
        TargetCapabilities.VALIDATE_RECORDS,
    ]

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  the SDK's own
        self._began_at = time.monotonic()
        super().__init__(**options)
        self.max_parallelism = 1
        self._sources: dict[str, SourceStream] = {}
        self._signal: int | None = None
        self._stopping = threading.Event()
        self._thread_requests = ThreadRequests()
        self.pipeline = self._build()
        self._reader.around_input = lambda: self._ending(at_the_end=False)
        self._reader.when_idle = self._when_idle

    def _build(self) -> Pipeline:
        """Put the parts together; nothing is sent or opened yet but the receipts file."""
        settings = self.settings = TargetSettings.from_config(self.config)
        api = ApiSettings.from_config(self.config, user_agent=f"{self.name}/{VERSION}")
        started_at = utc_now().strftime("%Y%m%dT%H%M%SZ")
        rejects_path = settings.rejects_path.replace("{started_at}", started_at)
        receipts_path = settings.receipts_path and settings.receipts_path.replace("{started_at}", started_at)
        self.client = Client.from_settings(api, sleep=self._sleep, on_request=self._thread_requests.note)
        self.summary = Summary()
        self._workers = Workers(api.concurrency)
        self._index = ContactIndex(settings.key_fields)
        self._receipts = ReceiptFile(receipts_path, planned=settings.dry_run)
        if not settings.dry_run:
            check_writable(rejects_path, "rejects_path")
        self._rejects = RejectFile(rejects_path)
        lookups = Lookups(self.client, settings, self._workers, self._index)
        of_thread = self._thread_requests.of_thread
        self._writer = Writer(self.client, settings, lookups, sleep=self._sleep, requests_of_thread=of_thread)
        self._deletes = Deletes(
            client=self.client,
            settings=settings,
            lookups=lookups,
            workers=self._workers,
            rejects=self._rejects,
            receipts=self._receipts,
            summary=self.summary,
            requests_of_thread=of_thread,
        )
        states = self._states = States(
            self._make_durable, self._emit_nothing if settings.dry_run else self._emit_state
        )
        applier = Applier(
            settings=settings,
            writer=self._writer,
            deletes=self._deletes,
            rejects=self._rejects,
            receipts=self._receipts,
            summary=self.summary,
            states=states,
            stopping=self._stopping,
        )
        return Pipeline(
            settings=settings,
            lookups=lookups,
            workers=self._workers,
            applier=applier,
            deletes=self._deletes,
            summary=self.summary,
            states=states,
            stopping=self._stopping,
        )

    def _make_durable(self) -> None:
        self._receipts.flush()
        self._rejects.make_durable()

    def _sleep(self, seconds: float) -> None:
        """Wait, unless the run is ending: what waits has not been sent."""
        if self._stopping.wait(seconds):
            raise Stopping("the run was ended")

    @classproperty
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805  the SDK's own form
        """Settings from environment variables."""
        cls.append_builtin_config(cls.config_jsonschema)
        properties = cls.config_jsonschema["properties"]
        return from_environment(parse_environment_config, properties, cls._env_var_prefix)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings in our own words: the SDK's messages repeat the values, secrets included."""
        try:
            ApiSettings.from_config(self.config, user_agent=self.name)
            TargetSettings.from_config(self.config)
            if not isinstance(self.config.get("stream_maps") or {}, dict):
                raise SettingsError("stream_maps must be an object")
        except AppcrmError as error:
            if raise_errors:
                raise
            return [str(error)]
        known = self.config_jsonschema["properties"]
        # The SDK adds stream_maps and more of its own.
        self.append_builtin_config(self.config_jsonschema)
        unknown = sorted(name for name in self.config if name not in known)
        if unknown:
            self.logger.warning(
                "Settings that this target does not know, so they do nothing: %s", ", ".join(unknown)
            )
        return []

    # Messages

    def source_of(self, alias: str) -> SourceStream:
        """Return the input's stream behind a sink's name."""
        return self._sources[alias]

    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        """Take a SCHEMA in; a stream that goes nowhere ends the run.

        Raises:
            UnknownStream: it is neither of ours, and no alias makes it one.
        """
        stream, schema = message_dict["stream"], message_dict["schema"]
        keys = message_dict.get("key_properties")
        maps = self.mapper.stream_maps.get(stream)
        if maps and maps[0].raw_schema == schema and maps[0].raw_key_properties == keys:
            return
        self.mapper.register_raw_stream_schema(stream, schema, keys)
        for stream_map in self.mapper.stream_maps[stream]:
            if isinstance(stream_map, RemoveRecordTransform):
                continue
            alias = stream_map.stream_alias
            if alias not in STREAMS:
                raise UnknownStream(
                    f"stream {stream} is neither {' nor '.join(STREAMS)}; if it holds contacts, set "
                    f'stream_maps: {{"{stream}": {{"__alias__": "contacts"}}}}'
                )
            self._sources[alias] = SourceStream(stream, schema, keys)
            rules = computed(self.mapper.stream_maps_dict, stream, alias)
            self.get_sink(
                alias,
                schema=without_guesses(stream_map.transformed_schema, schema.get("properties", {}), rules),
                key_properties=stream_map.transformed_key_properties,
            )

    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        """Take a RECORD in.

        Raises:
            RecordBeforeSchema: its stream's SCHEMA has not come.
        """
        stream, original = message_dict["stream"], message_dict["record"]
        maps = self.mapper.stream_maps.get(stream)
        if not maps:
            raise RecordBeforeSchema(
                f"line {self._reader.line_number} of the input is a RECORD of stream {stream} before its SCHEMA"
            )
        for stream_map in maps:
            if isinstance(stream_map, RemoveRecordTransform):
                continue
            record, refusal = dict(original), None
            try:
                mapped = apply_map(stream_map, original)
            except Unwritable as error:
                refusal = error
            else:
                if mapped is None:
                    continue
                record = mapped
            sink = self._sinks_active[stream_map.stream_alias]
            sink.take(  # type: ignore[attr-defined]  # every sink is ours
                record,
                original,
                chars=self._reader.line_chars,
                version=message_dict.get("version"),
                refusal=refusal,
            )
        self._end_if_asked()

    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        """Take a STATE in; it goes out when all before it is done."""
        self.pipeline.take_state(message_dict["value"])
        self._end_if_asked()

    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        """Take note that a table version is whole."""
        stream = message_dict["stream"]
        if stream not in self.mapper.stream_maps:
            raise RecordBeforeSchema(f"an ACTIVATE_VERSION of stream {stream} came before its SCHEMA")
        for stream_map in self.mapper.stream_maps[stream]:
            sink = self._sinks_active.get(stream_map.stream_alias)
            if sink is not None and sink.process_activate_version_messages:
                sink.activate_version(message_dict["version"])

    def _when_idle(self) -> None:
        self._end_if_asked()
        self.pipeline.idle()

    @property
    def _reader(self) -> LineReader:
        reader: LineReader = self.message_reader  # type: ignore[assignment]  # message_reader_class says so
        return reader

    @staticmethod
    def _emit_state(state: object) -> None:
        try:
            sys.stdout.write(serialize_json(state) + "\n")
            sys.stdout.flush()
        except OSError as error:
            # Python would try again, and complain, when it closes standard output.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise StateLost(
                f"a state cannot be written to standard output ({error.strerror}), so nobody would know how far this "
                "run came: see what became of its reader, then run again with the last state that was kept"
            ) from error

    @staticmethod
    def _emit_nothing(state: object) -> None:
        """Keep a dry run's states back: they would say that something was written."""

    # The end

    def process_endofpipe(self) -> None:
        """Write what is left, delete, emit the last state.

        Raises:
            AppcrmError: what was not done, and why.
        """
        with self._ending(at_the_end=True):
            self.pipeline.finish()
            super().process_endofpipe()
            self._check_rejects()

    @contextmanager
    def _ending(self, *, at_the_end: bool) -> Iterator[None]:
        """Whatever ends the run: what is in flight ends, true states go out, files and threads are closed."""
        is_over = at_the_end
        try:
            yield
        except InputError:
            is_over = True
            # What came before the line that cannot be read is whole, so it is written.
            self.pipeline.drain()
            self.pipeline.break_off()
            raise
        except (AppcrmError, KeyboardInterrupt):
            is_over = True
            self.pipeline.break_off()
            if self._signal is not None:
                sys.exit(TERMINATED + self._signal)
            raise
        finally:
            if is_over:
                self._close()

    def _close(self) -> None:
        self._workers.close()
        self._states.close()
        self._rejects.close()
        self._receipts.close()
        self._index.close()
        self._tell()

    def _check_rejects(self) -> None:
        if self.summary.rejects > self.settings.max_rejects.of(self.summary.records):
            # A dry run keeps none, and a delete of a mirror that the CRM refused has no record.
            if self._rejects.count:
                what_to_do = f"see {self._rejects.path}, fix them and pipe the file back in"
            else:
                what_to_do = "receipts_path says which and why"
            raise RunIncomplete(
                f"{self.summary.rejects} rejects among {self.summary.records} records are more than max_rejects "
                f"allows; {what_to_do}"
            )

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002  the SDK's form
        """Ask the run to end; a second signal ends it at once, as the first one does where it waits for input."""
        if self._signal is not None:
            sys.exit(TERMINATED + signum)
        self._signal = signum
        self._stopping.set()
        if self._reader.is_waiting:
            raise Terminated("a signal ended the run")

    def _end_if_asked(self) -> None:
        if self._signal is not None:
            raise Terminated("a signal ended the run")

    def _tell(self) -> None:
        for line in self.summary.reject_lines():
            self.logger.warning(line)
        if self._writer.grown_sets:
            self.logger.warning(
                "%d contacts have more associations after a sync than were asked for: the token may not see all "
                "companies or deals, or the CRM attaches companies by e-mail domain",
                self._writer.grown_sets,
            )
        if self._writer.retrieves_for_associations:
            self.logger.info(
                "%d requests went into reading associations, which the CRM's lists do not carry",
                self._writer.retrieves_for_associations,
            )
        self.logger.info(
            self.summary.line(
                requests=self.client.requests_sent,
                seconds=time.monotonic() - self._began_at,
                planned=self.settings.dry_run,
            )
        )

    @classmethod
    def get_plugin_version(cls) -> str:
        """Return the version; reading it from the installed package's metadata would take longer than a request."""
        return VERSION

    @classmethod
    def invoke(cls, **options: Any) -> None:  # noqa: ANN401  the SDK's own
        """Run the command; what went wrong is one sentence and exit code 1."""
        try:
            super().invoke(**options)
        except AppcrmError as error:
            cls.logger.error("%s", error)  # noqa: TRY400  the sentence says what to do, a traceback does not
        except (MapExpressionError, StreamMapConfigError) as error:
            cls.logger.error("stream_maps: %s", error)  # noqa: TRY400  the same
        else:
            return
        sys.exit(1)

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> _ConfigInput:
        """Read the settings from files and the environment."""
        try:
            return super().cb_config(ctx, param, value)
        except (OSError, ValueError, TypeError):
            cls.logger.error("--config: %s cannot be read as a JSON object", ", ".join(value))  # noqa: TRY400  the same
            ctx.exit(1)
