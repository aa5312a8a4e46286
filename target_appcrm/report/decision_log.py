"""Where every decision goes: the summary's counts, the receipts, and for what was refused the rejects file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from target_appcrm.errors import RunStopped
from target_appcrm.report.decisions import Decision
from target_appcrm.report.open_rejects import tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import msgspec

    from target_appcrm.errors import Unwritable
    from target_appcrm.read.stream_schema import StreamSchema
    from target_appcrm.report.open_rejects import OpenReject, OpenRejects
    from target_appcrm.report.receipts import ReceiptFile
    from target_appcrm.report.rejects import RejectFile
    from target_appcrm.report.summary import Summary
    from target_appcrm.settings import TargetSettings
    from target_appcrm.write.records_by_contact import Arrived, Item

    NamesOf = Callable[[Mapping[str, list[Any]] | None], dict[str, dict[str, str]] | None]


class DecisionLog:
    """Tells decisions wherever they belong; safe to share between threads.

    Args:
        waiting: rejects of earlier runs that are tried again.
        names_of: returns the names of the ids in a decision's changes, as receipts have them.
    """

    def __init__(
        self,
        settings: TargetSettings,
        summary: Summary,
        receipts: ReceiptFile,
        rejects: RejectFile,
        waiting: OpenRejects | None,
        names_of: NamesOf = lambda _: None,
    ) -> None:
        self._settings = settings
        self.summary = summary
        self._receipts = receipts
        self._rejects = rejects
        self._waiting = waiting
        self._names_of = names_of

    def tell(
        self, stream: str, key: dict[str, Any], decisions: list[Decision], number: int | None = None
    ) -> None:
        """Tell what was decided about one record; ``number`` is its place in the input."""
        self.summary.add(number, key, decisions)
        for decision in decisions:
            decision.names = self._names_of(decision.changes)
        self._receipts.tell(stream, key, decisions, number)

    def keep(
        self,
        stream: StreamSchema,
        record: Mapping[str, Any] | msgspec.Raw,
        cause: str,
        *,
        rejected_at: str | None = None,
        number: int | None = None,
    ) -> None:
        """Put a record into the rejects file, unless nothing is written."""
        if not self._settings.dry_run:
            self._rejects.write(stream, record, cause=cause, rejected_at=rejected_at, number=number)

    def reject(self, item: Arrived, error: Unwritable, done: list[Decision]) -> None:
        """Refuse a record; what was done for it before stays told.

        Raises:
            RunStopped: this is one too many, and ``stop_on_rejects`` is set.
        """
        if not error.is_of_plan:
            if self._waiting is not None and item.retried is None:
                self._waiting.superseded(tokens_of(item), before=item.number, but=item.record)
            self.keep(item.stream, item.record, error.cause, rejected_at=item.rejected_at, number=item.number)
        refusal = Decision("reject", reason=error.reason, cause=error.cause, status=error.status)
        self.tell(item.stream.source, item.key, [*done, refusal], item.number)
        self.check()

    def settle(self, item: Item) -> None:
        """Take note that a record was written or skipped: what is open of its key is out of date."""
        if self._waiting is not None:
            self.settle_key(item.retried, tokens_of(item), item.number)

    def settle_key(self, retried: OpenReject | None, tokens: frozenset[bytes], number: int) -> None:
        """Do so for a record that is not at hand any more."""
        if self._waiting is None:
            return
        if retried is not None:
            self._waiting.accepted(retried)
        else:
            self._waiting.superseded(tokens, before=number)

    def check(self) -> None:
        """Stop where there are too many rejects, and ``stop_on_rejects`` is set.

        Raises:
            RunStopped: there are.
        """
        if self._settings.stop_on_rejects and self.has_too_many_rejects:
            raise RunStopped(
                f"stopped after {self.summary.rejects} rejects; max_rejects and stop_on_rejects say when"
            )

    @property
    def has_too_many_rejects(self) -> bool:
        """Whether there are more than ``max_rejects`` allows."""
        return self.summary.rejects > self._settings.max_rejects.of(self.summary.records)

    def make_durable(self) -> None:
        """See to it that what was told survives a crash of the machine, before a state says that it is done."""
        self._rejects.make_durable()
        self._receipts.flush()
