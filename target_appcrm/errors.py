"""What can go wrong with the input, a record or a whole run.

AppcrmError
├── InputError             a message that cannot be read; what came before it was written
│   ├── RecordBeforeSchema a RECORD of a stream without a SCHEMA
│   └── UnknownStream      a SCHEMA of a stream that goes nowhere
├── Unwritable             one record that is refused
├── StateLost              a state that cannot be written to standard output
├── RunStopped             the run ended before its input did
│   └── Stopping           a thread is told so
└── RunIncomplete          the run ended, and not all of it was done
"""

from __future__ import annotations

from singer_sdk.exceptions import RecordsWithoutSchemaException

from appcrm.errors import AppcrmError

NOT_IN_PLAN = "not in the plan"


class InputError(AppcrmError):
    """A message that cannot be read: the text names its line, never its content."""


class RecordBeforeSchema(InputError, RecordsWithoutSchemaException):
    """A RECORD that came before its stream's SCHEMA."""


class UnknownStream(InputError):
    """A stream that is neither ``contacts`` nor ``contact_associations``."""


class Unwritable(AppcrmError):
    """One record that is refused.

    Args:
        reason: for the receipt; it may name values.
        cause: for the summary, which groups by it; it never names values.
        status: the HTTP status behind it, if any.
        fields: that the CRM refused.
        is_of_plan: whether the plan, and not the record, is what does not fit: it comes again for the next plan.
    """

    def __init__(
        self,
        reason: str,
        *,
        cause: str | None = None,
        status: int | None = None,
        fields: frozenset[str] = frozenset(),
        is_of_plan: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cause = cause or reason
        self.status = status
        self.fields = fields
        self.is_of_plan = is_of_plan


class StateLost(AppcrmError):
    """A state that cannot be written to standard output."""


class RunStopped(AppcrmError):
    """The run ended before its input did: the text says why and which setting to change."""


class Stopping(RunStopped):
    """The run is ending: whatever waits is not begun."""


class RunIncomplete(AppcrmError):
    """All of the input was read, but not all of it was done: the text says what was not."""
