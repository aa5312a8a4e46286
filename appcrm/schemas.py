"""The reviewed JSON Schemas of ``schemas/``, wherever the package is installed from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_PACKAGED = Path(__file__).parent / "schemas"
_CHECKOUT = Path(__file__).parent.parent / "schemas"


def load_schema(name: str) -> dict[str, Any]:
    """Return the schema ``name``, such as ``contacts``, as a new dictionary.

    Raises:
        FileNotFoundError: the distribution was built without its schemas.
    """
    folder = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
    schema: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return schema
