"""Python's collector of garbage, kept from looking through what stays."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOCATIONS_BETWEEN_LOOKS = 20_000
"""Pages and records hold no cycles, and die when they were written; looking through them finds nothing."""


@contextmanager
def at_rest() -> Iterator[None]:
    """Let modules be imported without looks at their objects, which are never garbage, then or later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(ALLOCATIONS_BETWEEN_LOOKS)
        gc.enable()
