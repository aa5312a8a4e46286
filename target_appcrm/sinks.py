"""Where the SDK's target passes its records to the pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk.sinks import BatchSink

from target_appcrm.errors import Unwritable
from target_appcrm.read.conformance import Conformance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from singer_sdk.sinks.core import BaseJSONSchemaValidator

    from target_appcrm.read.stream_schema import StreamSchema
    from target_appcrm.report.open_rejects import OpenReject
    from target_appcrm.target import TargetAppcrm


class ContactsSink(BatchSink):
    """One of our streams under one schema, whatever streams of the input are aliased to it.

    Records go to the target's pipeline, and a batch is only a barrier: concurrency, order and memory are the
    pipeline's, which outlives a sink, because two sinks of one stream can be alive at once after a change of schema.
    """

    MAX_SIZE_DEFAULT = 1_000_000_000

    def __init__(
        self,
        target: TargetAppcrm,
        stream_name: str,
        schema: dict[str, Any],
        key_properties: Sequence[str] | None,
    ) -> None:
        self._pipeline = target.load.pipeline
        super().__init__(target, stream_name, schema, key_properties)
        self._validates = bool(self.config.get("validate_records", True))
        self._conformance = Conformance(self.schema)

    def get_validator(self) -> BaseJSONSchemaValidator | None:
        """Return none of the SDK's validators, which fetch what a schema refers to and may never end."""
        return None

    @property
    def max_size(self) -> int:
        """Records before the SDK drains on its own; the pipeline bounds memory instead."""
        return self.MAX_SIZE_DEFAULT

    def take(
        self,
        stream: StreamSchema,
        record: dict[str, Any],
        original: Mapping[str, Any],
        *,
        chars: int,
        version: int | None,
        refusal: Unwritable | None = None,
        retried: OpenReject | None = None,
    ) -> None:
        """Take one record in.

        Args:
            stream: of the input.
            record: after stream maps.
            original: as it came in.
            chars: size of its line.
            version: of its table, where the tap sends one.
            refusal: why it cannot be written, where that is known already.
            retried: what it is among the open rejects, where it comes from there.
        """
        self.tally_record_read()
        self._pipeline.take(
            stream,
            record,
            original,
            chars=chars,
            version=version,
            refusal=refusal or self._refusal(record),
            retried=retried,
        )

    def _refusal(self, record: dict[str, Any]) -> Unwritable | None:
        """Say why a record does not fit its schema or lacks its key; None where it does."""
        cause = "does not fit its schema"
        missing = [name for name in self.key_properties if name not in record]
        if missing:
            return Unwritable(f"it lacks its key property {', '.join(missing)}", cause=cause)
        fault = self._conformance.fault(record) if self._validates else None
        return None if fault is None else Unwritable(f"it does not fit its schema: {fault}", cause=cause)

    def process_batch(self, context: dict[str, Any]) -> None:  # noqa: ARG002  the SDK's form
        """Write everything that was taken in."""
        self._pipeline.drain()
