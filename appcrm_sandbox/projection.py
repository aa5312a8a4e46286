"""`select`: the columns that are read; what was not selected is still shown, without a value."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from appcrm_sandbox.errors import server_error
from appcrm_sandbox.schema import Resource, stored_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appcrm_sandbox.custom_fields import CustomField
    from appcrm_sandbox.query import Query

# A row's own id among its cells, whether it was selected or not.
ROW_ID = "row_id"
_NUMBERS = frozenset({"integer", "decimal"})


@dataclasses.dataclass(frozen=True, slots=True)
class Projection:
    """The columns selected, or None for all of them; and what stands for those that were not."""

    selected: frozenset[str] | None = None
    blanks: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def shows(self, column: str) -> bool:
        """Whether a column was read."""
        return self.selected is None or column in self.selected

    def cells(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row's cells, with blanks where nothing was selected."""
        if self.selected is None:
            return {**row, ROW_ID: row["id"]}
        cells = {
            name: value if name in self.selected else self.blanks.get(name) for name, value in row.items()
        }
        return {**cells, ROW_ID: row["id"]}


EVERYTHING = Projection()


def projection_of(resource: Resource, fields: dict[str, CustomField], query: Query) -> Projection:
    """What `select` asks for; ApiError 500 on an unknown column, a relation, or without the display name's column."""
    names = query.parts("select")
    if not names:
        return EVERYTHING
    columns = stored_columns(resource, fields)
    unknown = [name for name in names if name not in columns]
    if unknown:
        raise server_error(f"Unknown column '{unknown[0]}' in 'field list'")
    if resource.label not in names:
        raise server_error(f"The attribute [{resource.label}] either does not exist or was not retrieved")
    custom_numbers = [name for name, field in fields.items() if field.kind in _NUMBERS]
    # A multi-select is a relation, so it is there all the same.
    relations = [name for name, field in fields.items() if field.kind == "multi-select"]
    return Projection(frozenset((*names, *relations)), dict.fromkeys(custom_numbers, 0))
