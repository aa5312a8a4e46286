"""The one place where everything is caught: what a step raised is a value, to be told or handed on."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def attempt(step: Callable[[], object]) -> BaseException | None:
    """Run a step; return what it raised, whatever that is."""
    try:
        step()
    except BaseException as error:  # noqa: BLE001  the run's end has to come whatever ended it
        return error
    return None


def read_or_reason(read: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """Run what works on a record's data alone; return its result, or what was wrong with the data.

    What is no fault of data, such as a signal, is raised.
    """
    found: list[T] = []
    error = attempt(lambda: found.append(read()))
    if error is None:
        return found[0], None
    if not isinstance(error, Exception):
        raise error
    return None, error
