"""Names for values whose type only the data knows."""

from __future__ import annotations

from typing import Any, TypeAlias

# Whatever a JSON document may hold.
Json: TypeAlias = Any
# Whatever SQLite keeps in a cell.
Cell: TypeAlias = Any
