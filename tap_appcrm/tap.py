"""The tap: settings, streams, discovery and the command line."""

from __future__ import annotations

import logging
import os
import sys
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

from singer_sdk import Tap
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers import capabilities
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.plugin_base import JSONSchemaValidator, _ConfigInput
from singer_sdk.tap_base import CliTestOptionValue

from appcrm.account_check import check_account, report_of
from appcrm.client import Client
from appcrm.errors import AppcrmError
from appcrm.schemas import load_schema
from appcrm.setting_names import near_misses, unknown_names
from appcrm.settings import from_environment
from appcrm.version import VERSION
from tap_appcrm.command import Command, InputError
from tap_appcrm.discovery import contacts_schema, discovered_schema, neighbour_schema
from tap_appcrm.input_files import read_catalog, read_json, schemas_of
from tap_appcrm.output.inline_associations import InlineAssociations
from tap_appcrm.output.message_writer import BufferedWriter
from tap_appcrm.output.receipt import ReceiptBook
from tap_appcrm.replication.deferred_associations import stand_together
from tap_appcrm.replication.replication import Replication
from tap_appcrm.settings import STREAM_ORDER, TapSettings, api_settings, config_schema, setting_error
from tap_appcrm.source.thread_pool import Stop, Terminated, Workers
from tap_appcrm.state import bookmarks_of
from tap_appcrm.streams import NEIGHBOURS, AppcrmStream, ContactAssociationsStream, ContactsStream

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from types import FrameType

    import click
    from singer_sdk import Stream
    from singer_sdk.helpers.capabilities import CapabilitiesEnum

LOG_CONFIG_VARIABLE = "SINGER_SDK_LOG_CONFIG"

summary = logging.getLogger("tap-appcrm.summary")
"""Shown at every log level: the command sets it so."""


class StreamsFailed(AppcrmError):
    """Streams that the token may not see, beside others that were read."""


class TapAppcrm(Tap):
    """Reads every contact of AppCRM (Concord CRM), proven, in as few requests as can be."""

    name = "tap-appcrm"
    package_name = "appcrm-connectors"
    dynamic_catalog = True
    message_writer_class = BufferedWriter
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        TapCapabilities.TEST,
        PluginCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.BATCH,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(self, *, catalog: Any = None, **options: Any) -> None:  # noqa: ANN401  the SDK's own signature
        self.stop = Stop()
        self.signal_number: int | None = None
        """The signal that asked the run to end."""
        self.failures: list[str] = []
        """What is to be said at the end of streams that could not be read while others were."""
        self.is_discovering = False
        """Whether the catalog is asked for, with all that the CRM says of streams that are seldom selected."""
        self.given_schemas = schemas_of(catalog)
        """Stream to the schema of the given catalog as it stands there: the SDK's own copy knows fewer keywords."""
        super().__init__(catalog=catalog, **options)
        if not self.logger.isEnabledFor(logging.DEBUG) and LOG_CONFIG_VARIABLE not in os.environ:
            self.metrics_logger.setLevel(logging.WARNING)  # METRIC lines only where they are asked for

    # Settings

    @classmethod
    def get_plugin_version(cls) -> str:
        """Return the version; reading it from the installed package's metadata would take longer than a request."""
        return VERSION

    @classproperty
    def config_jsonschema(cls) -> dict[str, Any]:  # noqa: N805  the SDK's own form
        """The settings, those of the SDK included: a new dictionary each time, because the SDK adds to it."""
        schema = config_schema()
        cls.append_builtin_config(schema)
        return schema

    @classproperty
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805  the SDK's own form
        """Settings from environment variables."""
        return from_environment(
            parse_environment_config, cls.config_jsonschema["properties"], cls._env_var_prefix
        )

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings; the messages never repeat a value, which may be a secret."""
        schema = self.config_jsonschema
        known = schema["properties"].keys()
        sdk_names = {name for each in vars(capabilities).values() for name in _properties_of(each)}
        errors = [
            *unknown_names(self._config, known | sdk_names, self.name),
            *near_misses(os.environ, known | sdk_names, self._env_var_prefix),
        ]
        for error in JSONSchemaValidator(schema).iter_errors(self._config):
            if error.validator == "required":
                missing = [name for name in error.validator_value if name not in error.instance]
                errors.extend(f"{name} is required" for name in missing)
            else:
                errors.append(setting_error(error.path, str(error.validator), error.validator_value))
        unique = list(dict.fromkeys(errors))
        if not unique:
            try:
                api_settings(self._config)
                TapSettings.from_config(self._config)
            except AppcrmError as error:
                unique = [str(error)]
        if unique and raise_errors:
            raise ConfigValidationError("the settings cannot work", errors=unique, schema=schema)
        idle = sorted((self._config.keys() & sdk_names) - known)
        if idle:
            self.logger.warning("Settings of the Singer SDK that do nothing in a tap: %s", ", ".join(idle))
        return unique

    @cached_property
    def settings(self) -> TapSettings:
        """How to read."""
        return TapSettings.from_config(self.config)

    @cached_property
    def receipts(self) -> ReceiptBook:
        """What was read of each stream so far."""
        return ReceiptBook(self.settings.receipt_path)

    @cached_property
    def client(self) -> Client:
        """The API."""
        client = Client.from_settings(api_settings(self.config), sleep=self.stop.sleep)
        self.stop.calls(client.break_off_reads)
        return client

    @cached_property
    def workers(self) -> Workers:
        """Threads for requests."""
        return Workers(self.settings.concurrency, self.stop)

    # Streams

    def discover_streams(self) -> Sequence[Stream]:
        """Return all streams; the CRM is asked for custom fields only where no catalog tells them."""
        if self.input_catalog is not None:
            contacts = contacts_schema((), self.settings.custom_fields)
        else:
            contacts = self.workers.call(discovered_schema, self.client, self.settings)
        return [
            ContactsStream(self, contacts),
            ContactAssociationsStream(self, load_schema("contact_associations")),
            *(make(self, self._neighbour_schema(name)) for name, make in NEIGHBOURS.items()),
        ]

    def _neighbour_schema(self, name: str) -> dict[str, Any]:
        # Without a catalog they are not selected, so a run would ask for nothing.
        if self.is_discovering and NEIGHBOURS[name].has_custom_fields:
            return self.workers.call(neighbour_schema, self.client, self.settings, name)
        return load_schema(name)

    def run_discovery(self) -> str:
        """Write the catalog to standard output, and return it."""
        self.is_discovering = True
        return super().run_discovery()

    def setup_mapper(self) -> None:
        """Let stream maps see the schemas that go out, which have a column for values that do not fit."""
        super().setup_mapper()
        for stream in self.streams.values():
            if isinstance(stream, AppcrmStream):
                self.mapper.register_raw_stream_schema(
                    stream.name, stream.selected_schema, stream.primary_keys
                )

    @property
    def catalog_dict(self) -> dict[str, Any]:
        """The discovered catalog, with every keyword of the schemas."""
        catalog = super().catalog_dict
        for entry in catalog["streams"]:
            entry["schema"] = self.streams[entry["tap_stream_id"]].schema
        return catalog

    def tell_of_empty_selection(self) -> None:
        """Say so where the catalog selects nothing: that is allowed, and seldom meant."""
        if any(stream.selected for stream in self.streams.values()):
            return
        named = () if self.input_catalog is None else self.input_catalog.keys()
        unknown = sorted(set(named) - set(STREAM_ORDER))
        self.logger.warning(
            "The catalog selects no stream of this tap, so nothing is read%s. Select %s in it, or run discovery again",
            f" (it does not know {', '.join(unknown)})" if unknown else "",
            " or ".join(STREAM_ORDER),
        )

    @property
    def streams(self) -> dict[str, Stream]:
        """The streams in the order in which they are read."""
        streams = super().streams
        return {name: streams[name] for name in STREAM_ORDER if name in streams}

    @property
    def reads_associations(self) -> bool:
        """Whether the catalog selects the associations too."""
        return self.streams["contact_associations"].selected

    def inline_associations_of(
        self, stream: AppcrmStream, replication: Replication
    ) -> InlineAssociations | None:
        """Return the associations beside a read of contacts, where both stand at the same place."""
        other = self.streams["contact_associations"]
        if (
            not isinstance(stream, ContactsStream)
            or not isinstance(other, ContactAssociationsStream)
            or not other.selected
            or stream.ABORT_AT_RECORD_COUNT is not None
            or stream.is_full_table != other.is_full_table
        ):
            return None
        own = other.make_replication()
        if not stand_together(replication, own):
            return None
        mirrored = Replication(
            replication.context,
            self.settings,
            own.state,
            full_table=other.is_full_table,
            tells_deletes=False,
        )
        return InlineAssociations(other, replication, mirrored, other.make_sync)

    def load_state(self, state: dict[str, Any]) -> None:
        """Take the state of the last run.

        Raises:
            StateError: it cannot be understood, so that reading on would silently read everything again.
        """
        super().load_state({**state, "bookmarks": bookmarks_of(state, STREAM_ORDER)})

    def note_failure(self, sentence: str) -> None:
        """Remember that a stream could not be read, and go on with the others."""
        self.failures.append(sentence)

    # The process

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002  the signal module's
        """Ask the run to end where output and state are whole; a second signal ends it at once."""
        if self.signal_number is not None:
            raise SystemExit(128 + signum)
        self.signal_number = signum
        self.logger.info("Signal received: writing state, then exiting")
        self.stop.tell(signum)

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Return the command line."""
        return Command.around(super().get_singer_command())

    @classmethod
    def invoke(  # type: ignore[override]  # as the SDK's own class does
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
    ) -> None:
        """Read the selected streams."""
        if about:
            cls.print_about(about_format)
            return
        cls.logger.info("%s v%s", cls.name, VERSION)
        config = config or _ConfigInput()
        tap = cls(
            config=config.config,
            parse_env_config=config.parse_env,
            state=None if state is None else read_json(state, "state"),
            catalog=None if catalog is None else read_catalog(catalog),
        )
        tap.tell_of_empty_selection()
        tap.run()

    def run(self) -> None:
        """Read the selected streams, one after another.

        Raises:
            StreamsFailed: the token may not see some of them; the others were read.
            Terminated: a signal asked the run to end; where output was gone before the state was written, the error
                that showed it is its cause.
        """
        try:
            self.sync_all()
            sys.stdout.flush()
            if self.failures:
                raise StreamsFailed("; ".join(self.failures))
        except OSError as error:
            # Whoever stops a pipeline stops the loader too, so its end of the pipe may be gone first.
            if self.signal_number is None:
                raise
            raise Terminated(128 + self.signal_number) from error

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> _ConfigInput:  # noqa: ARG003  click's own
        """Read the settings from files and the environment."""
        config: dict[str, Any] = {}
        for path in value:
            if path != "ENV":
                try:
                    with Path(path).open("rb") as file:
                        config |= read_json(file, "config")
                except OSError as error:
                    raise InputError(f"--config: {path} cannot be read ({error.strerror})") from error
        return _ConfigInput(config=config, parse_env="ENV" in value)

    @classmethod
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """Tell what the account is and can do; ``--test=schema`` writes the schemas instead."""
        if value != CliTestOptionValue.All.value:
            super().cb_test(ctx, param, value)
            return
        config: _ConfigInput = ctx.params.get("config", _ConfigInput())
        tap = cls(config=config.config, parse_env_config=config.parse_env, setup_mapper=False)
        tap.check_connection()
        ctx.exit()

    def check_connection(self) -> None:
        """Tell what the account is and can do, in a few requests; nothing is written.

        Raises:
            AccountRefused: address, token or permission is not good.
        """
        check = self.workers.call(check_account, self.client, api_settings(self.config))
        for line in report_of(check, page_size=self.settings.page_size):
            summary.info(line)


def _properties_of(definition: object) -> Collection[str]:
    """Return the settings that one of the SDK's lists of settings defines."""
    properties = definition.get("properties") if isinstance(definition, dict) else None
    return properties.keys() if isinstance(properties, dict) else ()
