"""Reads Singer messages line by line; what cannot be read is named by its line, never shown."""

from __future__ import annotations

import io
import select
import sys
from collections import Counter
from contextlib import nullcontext
from typing import IO, TYPE_CHECKING, Any

import msgspec
from singer_sdk.contrib.msgspec import MsgSpecReader, decoder

from target_appcrm.errors import InputError, Unwritable
from target_appcrm.read.limits import check_limits, loads_loosely

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

REQUIRED_KEYS: dict[str, frozenset[str]] = {
    "SCHEMA": frozenset({"stream", "schema"}),
    "RECORD": frozenset({"stream", "record"}),
    "STATE": frozenset({"value"}),
    "ACTIVATE_VERSION": frozenset({"stream", "version"}),
    "BATCH": frozenset({"stream", "encoding", "manifest"}),
}


BYTE_ORDER_MARK = "\ufeff"
"""Windows' editors begin a file with it, and so does each of several that were joined."""
IDLE_SECONDS = 0.5
READ_BYTES = 1 << 16


def _check_limits(message: dict[str, Any], which: str) -> None:
    try:
        check_limits(message)
    except Unwritable as error:
        raise InputError(f"{which} cannot be read: {error}") from None


def _check_schema(message: dict[str, Any], of_stream: str) -> None:
    schema, keys = message["schema"], message.get("key_properties")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict):
        raise InputError(f"{of_stream} has no properties")
    if not all(isinstance(definition, (dict, bool)) for definition in properties.values()):
        raise InputError(f"{of_stream} has a property whose definition is no object")
    if keys is not None and not (isinstance(keys, list) and all(isinstance(key, str) for key in keys)):
        raise InputError(f"{of_stream} has key_properties that are no list of names")


class LineReader(MsgSpecReader):
    """Hands messages to their callbacks, and knows the present line's number and size."""

    def __init__(self) -> None:
        super().__init__()
        self.line_number = 0
        self.line_chars = 0
        self.is_waiting = False
        """Whether it waits for input, where a signal may end it at once."""
        self.around_input: Callable[[], AbstractContextManager[None]] = nullcontext
        """Entered while input is read."""
        self.when_idle: Callable[[], None] = lambda: None
        """Called whenever half a second has passed without input."""
        self._pending = bytearray()

    def process_lines(
        self, file_input: IO[str] | None, callbacks: dict[str, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        """Read all lines and count them by type.

        Raises:
            InputError: a line that is no message of a known type.
        """
        with self.around_input():
            return self._process_lines(file_input or sys.stdin, callbacks)

    def _process_lines(
        self, lines: IO[str], callbacks: dict[str, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        counts: Counter[str] = Counter()
        while line := self._next_line(lines):
            self.line_number += 1
            self.line_chars = len(line)
            if line.startswith(BYTE_ORDER_MARK):
                line = line.removeprefix(BYTE_ORDER_MARK)
            if not line.strip():
                continue
            message = self.deserialize_json(line)
            kind = self._checked_type(message)
            callbacks[kind](message)
            counts[kind] += 1
        return counts

    def _next_line(self, lines: IO[str] | None) -> str:
        if lines is None:
            raise InputError("standard input is closed; pipe the output of a tap into the target")
        self.is_waiting = True
        try:
            binary = getattr(lines, "buffer", None)
            if isinstance(binary, io.BufferedReader) and isinstance(binary.raw, io.FileIO):
                return self._line_of_pipe(binary)
            return lines.readline()
        except UnicodeDecodeError as error:
            raise InputError(f"line {self.line_number + 1} is not UTF-8 text") from error
        finally:
            self.is_waiting = False

    def _line_of_pipe(self, source: io.BufferedReader) -> str:
        """Return the next line, or an empty text at the end; what is due by the clock does not wait for it."""
        searched = 0
        while (end := self._pending.find(b"\n", searched)) < 0:
            searched = len(self._pending)
            while not select.select([source], [], [], IDLE_SECONDS)[0]:
                self.is_waiting = False
                self.when_idle()
                self.is_waiting = True
            block = source.read1(READ_BYTES)
            if not block:
                end = len(self._pending) - 1
                break
            self._pending += block
        line = bytes(self._pending[: end + 1])
        del self._pending[: end + 1]
        return line.decode()

    def deserialize_json(self, line: str) -> dict[str, Any]:
        """Read one line.

        Raises:
            InputError: it is not JSON.
        """
        try:
            message: dict[str, Any] = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError, ArithmeticError):
            # What is beyond JSON refuses its record, not the run.
            try:
                message = loads_loosely(line)
            except (ValueError, RecursionError):
                # The cause would show the line.
                raise InputError(f"line {self.line_number} of the input is not JSON") from None
        return message

    def _checked_type(self, message: object) -> str:
        where = f"line {self.line_number} of the input"
        kind = message.get("type") if isinstance(message, dict) else None
        if not isinstance(message, dict) or not isinstance(kind, str):
            raise InputError(f"{where} is no Singer message: it has no type")
        if kind not in REQUIRED_KEYS:
            raise InputError(f"{where} has a type that is not known; known are {', '.join(REQUIRED_KEYS)}")
        missing = sorted(REQUIRED_KEYS[kind] - message.keys())
        if missing:
            raise InputError(f"{where}, a {kind} message, lacks {', '.join(missing)}")
        if "stream" in message and not isinstance(message["stream"], str):
            raise InputError(f"{where}, a {kind} message, has a stream that is no text")
        if kind != "RECORD":
            _check_limits(message, f"{where}, a {kind} message,")
        if kind == "SCHEMA":
            _check_schema(message, f"{where}, the SCHEMA of {message['stream']},")
        if kind == "BATCH":
            raise InputError(
                f"{where} is a BATCH message, which this target does not take; unset the tap's batch_config"
            )
        version = message.get("version")
        if version is not None and not isinstance(version, int):
            raise InputError(f"{where}, a {kind} message, has a version that is no whole number")
        if kind == "RECORD" and not isinstance(message["record"], dict):
            raise InputError(f"{where}, a RECORD of {message['stream']}, is no object")
        return kind
