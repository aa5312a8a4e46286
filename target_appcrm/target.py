"""target-appcrm: Singer records into AppCRM contacts."""

from __future__ import annotations

import logging
import os
import sys
from functools import partial
from typing import IO, TYPE_CHECKING, Any, ClassVar

import click
from singer_sdk import Target
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.exceptions import MapExpressionError, StreamMapConfigError
from singer_sdk.helpers import capabilities
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import PluginCapabilities, TargetCapabilities
from singer_sdk.mapper import PluginMapper, RemoveRecordTransform
from singer_sdk.plugin_base import _ConfigInput
from singer_sdk.singerlib.json import serialize_json

from appcrm.account_check import check_account, report_of
from appcrm.client import MAX_PAGE_SIZE, Client
from appcrm.errors import AppcrmError, SettingsError
from appcrm.logs import hush_libraries
from appcrm.setting_names import near_misses, unknown_names
from appcrm.settings import ApiSettings, from_environment
from appcrm.text import printable
from appcrm.version import VERSION
from target_appcrm.attempt import attempt, read_or_reason
from target_appcrm.errors import RecordBeforeSchema, StateLost, UnknownStream, Unwritable
from target_appcrm.load import Load, Terminated, exit_code, sentence_of
from target_appcrm.read.message_reader import LineReader
from target_appcrm.read.stream_maps import apply_map, computed, without_guesses
from target_appcrm.read.stream_schema import STREAMS, StreamSchema
from target_appcrm.read.unfiltered import match_keys_of, without_filters
from target_appcrm.report.decisions import Decision
from target_appcrm.settings import TargetSettings, settings_schema
from target_appcrm.sinks import ContactsSink

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from types import FrameType

    from singer_sdk.helpers.capabilities import CapabilitiesEnum

    from target_appcrm.match.keys import MatchKey
    from target_appcrm.report.open_rejects import OpenReject


IDLE_SETTINGS = frozenset({"add_record_metadata", "batch_size_rows", "batch_wait_limit_seconds"})
"""What the SDK gives every target, and this one has no use for."""
NOISE = ("Skipping parse of env var settings...", "Parsing env var for settings config...")
"""What the SDK tells in every run and nobody needs."""


def _properties_of(definition: object) -> Collection[str]:
    """Return the settings that one of the SDK's lists of settings defines."""
    properties = definition.get("properties") if isinstance(definition, dict) else None
    return properties.keys() if isinstance(properties, dict) else ()


def _is_worth_telling(record: logging.LogRecord) -> bool:
    return record.msg not in NOISE


def as_refusal(error: Exception) -> Unwritable:
    """Return what was wrong with a record's data as its refusal."""
    if isinstance(error, Unwritable):
        return error
    kind = type(error).__name__
    return Unwritable(f"its stream map fails on it ({kind})", cause=f"its stream map fails on it ({kind})")


class TargetAppcrm(Target):
    """Singer target for AppCRM: creates, updates and deletes contacts and keeps their associations."""

    name = "target-appcrm"
    package_name = "appcrm-connectors"
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
        self._signal: int | None = None
        self._load: Load | None = None
        super().__init__(**options)
        self.metrics_logger.setLevel(logging.WARNING)
        self.max_parallelism = 1
        self._streams: dict[tuple[str, str], StreamSchema] = {}
        self._retried: OpenReject | None = None
        stream_maps = self.config.get("stream_maps") or {}
        self._unfiltered = self._mapper_without_filters()
        self._load = Load(
            TargetSettings.from_config(self.config),
            ApiSettings.from_config(self.config, user_agent=f"{self.name}/{VERSION}"),
            stream_maps,
            emit=self._emit_state,
        )
        self._load.signal = self._signal
        self._reader.when_idle = self._when_idle

    def _mapper_without_filters(self) -> PluginMapper:
        stream_maps = without_filters(self.config.get("stream_maps") or {})
        return PluginMapper(plugin_config={**self.config, "stream_maps": stream_maps}, logger=self.logger)

    @property
    def load(self) -> Load:
        """The run's parts."""
        if self._load is None:
            raise RuntimeError("the target is not set up yet")
        return self._load

    @classproperty
    def config_jsonschema(cls) -> dict[str, Any]:  # noqa: N805  the SDK's own form
        """The settings, those of the SDK included: a new dictionary each time, because the SDK adds to it."""
        schema = settings_schema()
        cls.append_builtin_config(schema)
        return schema

    @classproperty
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805  the SDK's own form
        """Settings from environment variables."""
        # A count or a share is read as text: the SDK would take nothing but whole numbers for a setting of both types.
        properties = {
            name: {**schema, "type": "string"} if "string" in schema.get("type", ()) else schema
            for name, schema in cls.config_jsonschema["properties"].items()
        }
        return from_environment(parse_environment_config, properties, cls._env_var_prefix)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings in our own words: the SDK's messages repeat the values, secrets included.

        Raises:
            SettingsError: one that cannot work, or a name that nobody knows.
        """
        known = self.config_jsonschema["properties"].keys()
        sdk_names = {name for each in vars(capabilities).values() for name in _properties_of(each)}
        errors = self.mistakes_in(self.config, known | sdk_names)
        if errors and raise_errors:
            raise SettingsError("; ".join(dict.fromkeys(errors)))
        idle = sorted((self.config.keys() & sdk_names) - known) + sorted(self.config.keys() & IDLE_SETTINGS)
        if idle:
            self.logger.warning(
                "Settings of the Singer SDK that do nothing in this target: %s", ", ".join(idle)
            )
        return errors

    @classmethod
    def mistakes_in(cls, config: Mapping[str, Any], known: Collection[str]) -> list[str]:
        """Return what is wrong with a configuration, in sentences that never repeat a value."""
        errors = [
            *unknown_names(config, known, cls.name),
            *near_misses(os.environ, known, cls._env_var_prefix),
        ]
        if not errors:
            try:
                ApiSettings.from_config(config, user_agent=cls.name)
                TargetSettings.from_config(config)
                if not isinstance(config.get("stream_maps") or {}, dict):
                    raise SettingsError("stream_maps must be an object")
            except AppcrmError as error:
                errors = [str(error)]
        return errors

    @classmethod
    def test_account(cls, config: dict[str, Any]) -> None:
        """Tell what the account is and can do, in a few requests; nothing is written, no file either.

        Raises:
            AppcrmError: a setting cannot work, or address, token or permission is not good.
        """
        sdk_names = {name for each in vars(capabilities).values() for name in _properties_of(each)}
        errors = cls.mistakes_in(config, cls.config_jsonschema["properties"].keys() | sdk_names)
        if errors:
            raise SettingsError("; ".join(dict.fromkeys(errors)))
        api = ApiSettings.from_config(config, user_agent=f"{cls.name}/{VERSION}")
        for line in report_of(check_account(Client.from_settings(api), api), page_size=MAX_PAGE_SIZE):
            cls.logger.info(line)

    # Messages

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
        try:
            self.mapper.register_raw_stream_schema(stream, schema, keys)
            self._unfiltered.register_raw_stream_schema(stream, schema, keys)
        except (MapExpressionError, StreamMapConfigError) as error:
            raise SettingsError(f"stream_maps: {error}") from error
        for stream_map in self.mapper.stream_maps[stream]:
            if isinstance(stream_map, RemoveRecordTransform):
                continue
            alias = stream_map.stream_alias
            if alias not in STREAMS:
                name = printable(stream, 100)
                raise UnknownStream(
                    f"stream {name} is neither {' nor '.join(STREAMS)}; if it holds contacts, set "
                    f'stream_maps: {{"{name}": {{"__alias__": "contacts"}}}}; else deselect it in the tap, or leave it '
                    f'out with stream_maps: {{"{name}": null}}'
                )
            rules = computed(self.mapper.stream_maps_dict, stream, alias)
            sink = self.get_sink(
                alias,
                schema=without_guesses(stream_map.transformed_schema, schema.get("properties", {}), rules),
                key_properties=stream_map.transformed_key_properties,
            )
            self._streams[stream, alias] = StreamSchema.make(
                alias, sink.schema, sink.key_properties, stream, schema, keys
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
                f"line {self._reader.line_number} of the input is a RECORD of stream {printable(stream, 100)} before "
                "its SCHEMA"
            )
        version, chars = message_dict.get("version"), self._reader.line_chars
        for position, stream_map in enumerate(maps):
            if isinstance(stream_map, RemoveRecordTransform):
                continue
            described = self._streams[stream, stream_map.stream_alias]
            record, fault = read_or_reason(partial(apply_map, stream_map, original))
            if record is None and fault is None:
                whole, _ = read_or_reason(
                    partial(apply_map, self._unfiltered.stream_maps[stream][position], original)
                )
                self.load.pipeline.take_filtered(described, whole, chars=chars, version=version)
                continue
            sink: ContactsSink = self._sinks_active[stream_map.stream_alias]  # type: ignore[assignment]  # all are ours
            sink.take(
                described,
                dict(original) if record is None else record,
                original,
                chars=chars,
                version=version,
                refusal=None if fault is None else as_refusal(fault),
                retried=self._retried,
            )
        self.load.check_signal()

    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        """Take a STATE in; it goes out when all before it is done."""
        self.load.pipeline.take_state(message_dict["value"])
        self.load.check_signal()

    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        """Take note that a table version is whole."""
        stream = message_dict["stream"]
        if stream not in self.mapper.stream_maps:
            raise RecordBeforeSchema(
                f"an ACTIVATE_VERSION of stream {printable(stream, 100)} came before its SCHEMA"
            )
        if not self.config.get("process_activate_version_messages", True):
            return
        for stream_map in self.mapper.stream_maps[stream]:
            if not isinstance(stream_map, RemoveRecordTransform):
                self.load.pipeline.activate_version(stream_map.stream_alias, message_dict["version"], stream)

    def _when_idle(self) -> None:
        self.load.check_signal()
        self.load.tell_progress()
        self.load.pipeline.idle()

    @property
    def _reader(self) -> LineReader:
        reader: LineReader = self.message_reader  # type: ignore[assignment]  # message_reader_class says so
        return reader

    @staticmethod
    def _emit_state(state: object) -> None:
        try:
            if sys.stdout is None:
                raise OSError("it is closed")  # noqa: TRY301  one way to say so
            sys.stdout.write(serialize_json(state) + "\n")
            sys.stdout.flush()
        except (OSError, ValueError) as error:
            if sys.stdout is not None:
                # Python would try again, and complain, when it closes standard output.
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise StateLost(
                f"a state cannot be written to standard output ({getattr(error, 'strerror', None) or 'it is closed'}), "
                "so nobody would know how far this run came: see what became of its reader, then run again with the "
                "last state that was kept"
            ) from error

    # The end

    def process_endofpipe(self) -> None:
        """Send open rejects again, write what is left, delete, emit the last state.

        Raises:
            AppcrmError: what was not done, and why.
        """
        self._retry_rejects()
        self.load.pipeline.finish()
        super().process_endofpipe()
        self.load.check_done()

    def _retry_rejects(self) -> None:
        """Send what earlier runs were refused, unless a newer record of its key came meanwhile."""
        waiting = self.load.open_rejects
        if waiting is None:
            return
        waiting.know_match_keys(self._match_keys_of)
        self.load.pipeline.drain()
        if waiting.has_some_for_hands_only:
            self.load.mirror.cannot_tell(
                "a reject whose outcome is unknown may mean any contact; look in the CRM, and remove it from "
                "rejects_path"
            )
        for reject in waiting.to_retry():
            if not waiting.is_open(reject):
                continue
            self._retried = reject
            try:
                self._process_schema_message(reject.schema)
                self._process_record_message(reject.message)
            except UnknownStream as error:
                refusal = Decision("reject", reason=str(error), cause="its stream goes nowhere")
                self.load.log.tell(str(reject.message["stream"]), {}, [refusal])
            finally:
                self._retried = None

    def _match_keys_of(self, reject: OpenReject) -> tuple[MatchKey, ...]:
        """Return the match keys of a record of the rejects file; none where it has none that can be read."""
        mapper = self._mapper_without_filters()
        stream, schema = str(reject.message["stream"]), reject.schema
        keys, _ = read_or_reason(
            lambda: match_keys_of(mapper, stream, schema, reject.message["record"], self.load.settings)
        )
        return keys or ()

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002  the SDK's form
        """Ask the run to end; a second signal ends it at once, as the first one does where it waits for input."""
        if self._signal is not None:
            sys.exit(128 + signum)
        self._signal = signum
        if self._load is None:
            raise Terminated("a signal ended the run")
        self._load.take_signal(signum)
        if self._reader.is_waiting:
            raise Terminated("a signal ended the run")

    @classmethod
    def get_plugin_version(cls) -> str:
        """Return the version; reading it from the installed package's metadata would take longer than a request."""
        return VERSION

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Return the command line, with ``--test``."""
        command = super().get_singer_command()
        told = "Tell what address, token and CRM are and can do, in a few requests; nothing is written."
        command.params.append(click.Option(["--test"], is_flag=True, help=told))
        return command

    @classmethod
    def invoke(  # type: ignore[override]  # the SDK's own command passes these
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        file_input: IO[str] | None = None,
        test: bool = False,
    ) -> None:
        """Run the command and end it in order: whatever went wrong is one sentence, and the right exit code."""
        if about:
            cls.print_about(about_format)
            return
        made: list[TargetAppcrm] = []
        logging.raiseExceptions = False  # a log line that cannot be written must not become a traceback
        cls.logger.addFilter(_is_worth_telling)
        hush_libraries()

        def run() -> None:
            if test:
                given = _ConfigInput() if config is None else config
                cls.test_account(given.config | (cls._env_var_config if given.parse_env else {}))
                return
            target = cls(
                config={} if config is None else config.config,
                parse_env_config=config is not None and config.parse_env,
                validate_config=True,
            )
            made.append(target)
            target.listen(file_input)

        error = attempt(run)
        if made:
            code = made[0].load.end(error)
        else:
            code = exit_code(error, None)
            if error is not None and not isinstance(error, SystemExit):
                cls.logger.error("%s", sentence_of(error, None))
        if code:
            sys.exit(code)

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> _ConfigInput:
        """Read the settings from files and the environment."""
        try:
            return super().cb_config(ctx, param, value)
        except (OSError, ValueError, TypeError):
            cls.logger.error("--config: %s cannot be read as a JSON object", ", ".join(value))  # noqa: TRY400  the same
            ctx.exit(1)
