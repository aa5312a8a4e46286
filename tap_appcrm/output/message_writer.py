"""Standard output: whole pages at once, pushed out with each STATE and at the end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.singerlib import SingerMessageType

if TYPE_CHECKING:
    from singer_sdk.singerlib.encoding.simple import Message

PUSHED_AT_ONCE = frozenset({SingerMessageType.STATE, SingerMessageType.SCHEMA})


class BufferedWriter(MsgSpecWriter):
    """Writes messages without pushing each one through the pipe."""

    def write_message(self, message: Message) -> None:
        """Write a message; a STATE takes everything before it along."""
        sys.stdout.buffer.write(self.format_message(message))
        if message.type in PUSHED_AT_ONCE:
            sys.stdout.flush()

    def write_lines(self, lines: bytes) -> None:
        """Write messages that are encoded already, each with its line end."""
        sys.stdout.buffer.write(lines)

    def flush(self) -> None:
        """Push out what is still held."""
        sys.stdout.flush()
