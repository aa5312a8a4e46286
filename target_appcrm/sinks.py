"""Where the SDK's target hands its records over to the pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk.sinks import BatchSink

from target_appcrm.errors import Unwritable
from target_appcrm.read.conformance import Conformance
from target_appcrm.read.stream_schema import StreamSchema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from singer_sdk.sinks.core import BaseJSONSchemaValidator

    from target_appcrm.target import TargetAppcrm


class ContactsSink(BatchSink):
    """One stream under one schema. Records go to the target's pipeline; a batch is only a barrier.

    Concurrency, order and memory are the pipeline's, which outlives a sink: two sinks of one stream can be alive
    at once after a change of schema.
    """

    MAX_SIZE_DEFAULT = 1_000_000_000

    def __init__(
        self,
        target: TargetAppcrm,
        stream_name: str,
        schema: dict[str, Any],
        key_properties: Sequence[str] | None,
    ) -> None:
        self._pipeline = target.pipeline
        source = target.source_of(stream_name)
        super().__init__(target, stream_name, schema, key_properties)
        self._validates = bool(self.config.get("validate_records", True))
        self._conformance = Conformance(self.schema)
        self.stream_schema = StreamSchema.make(
            stream_name, self.schema, self.key_properties, source.name, source.schema, source.key_properties
        )

    def get_validator(self) -> BaseJSONSchemaValidator | None:
        """Return none of the SDK's validators, which fetch what a schema refers to and may never end."""
        return None

    @property
    def max_size(self) -> int:
        """Records before the SDK drains on its own; the pipeline bounds memory instead."""
        return self.MAX_SIZE_DEFAULT

    def take(
        self,
        record: dict[str, Any],
        original: Mapping[str, Any],
        *,
        chars: int,
        version: int | None,
        refusal: Unwritable | None = None,
    ) -> None:
        """Hand one record over.

        Args:
            record: after stream maps.
            original: as it came in.
            chars: size of its line.
            version: of its table, where the tap sends one.
            refusal: why it cannot be written, where that is known already.
        """
        self.tally_record_read()
        self.record_counter_metric.increment()
        self._pipeline.take(
            self.stream_schema,
            record,
            original,
            chars=chars,
            version=version,
            refusal=refusal or self._refusal(record),
        )

    def _refusal(self, record: dict[str, Any]) -> Unwritable | None:
        """Say why a record does not fit its schema or lacks its key; None where it does."""
        cause = "does not fit its schema"
        missing = [name for name in self.key_properties if name not in record]
        if missing:
            return Unwritable(f"it lacks its key property {', '.join(missing)}", cause=cause)
        fault = self._conformance.fault(record) if self._validates else None
        return None if fault is None else Unwritable(f"it does not fit its schema: {fault}", cause=cause)

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:  # noqa: ARG002  the SDK's form
        """Hand over a record that came without its message."""
        self.take(record, record, chars=0, version=None)

    def process_batch(self, context: dict[str, Any]) -> None:
        """Write everything that was taken in; a BATCH message brings its records here."""
        for record in context.get("records", ()):
            self.take(record, record, chars=0, version=None)
        self._pipeline.drain()

    def activate_version(self, new_version: int) -> None:
        """Note that a table version is whole; what it does not hold is deleted at the end, where that is allowed."""
        self._pipeline.drain()
        self._pipeline.activate_version(self.stream_name, new_version, self.stream_schema.source)
