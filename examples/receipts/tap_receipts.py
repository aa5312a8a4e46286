#!/usr/bin/env python3
"""Extractor for the files that target-appcrm writes: they are Singer streams already, this remembers what was read.

    tap_receipts.py --config '{"path": "output/receipts*.singer.jsonl"}' [--state STATE]

Needs Python alone. Receipts are keyed by run and number, runs by run, so a row that is read twice is one row in the
warehouse, and a run's end takes the place of its start. Each row also gets the file and the line that it came from;
with `at`, these are the key of receipts of before runs had records.
"""

from __future__ import annotations

import argparse
import glob
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

Json = Any
Message = dict[str, Json]
FILE, LINE = "_sdc_source_file", "_sdc_source_line"
KEY = (FILE, LINE, "at")
BOOKMARK = "files"
BOM = b"\xef\xbb\xbf"


def with_source(message: Message, file: str, line: int) -> Message:
    """The message with its origin: two more columns in a SCHEMA, their values in a RECORD."""
    if message["type"] == "SCHEMA":
        properties = message["schema"]["properties"]
        properties |= {FILE: {"type": "string"}, LINE: {"type": "integer"}}
        message["key_properties"] = message["key_properties"] or [name for name in KEY if name in properties]
    elif message["type"] == "RECORD":
        message["record"] |= {FILE: file, LINE: line}
    return message


def unread(path: Path, done: Message) -> Iterator[tuple[Message, Message]]:
    """Messages behind a bookmark, each with the bookmark after it; the SCHEMA of each stream comes first.

    A bookmark is `{"line", "offset", "schemas"}`, the last of these stream to where its SCHEMA begins.
    """
    offset, line = int(done.get("offset", 0)), int(done.get("line", 0))
    schemas: dict[str, int] = dict(done.get("schemas", {"": 0}))
    with path.open("rb") as file:
        if offset > path.stat().st_size:
            offset = line = 0  # a new file under the old name
        if offset:
            for begin in sorted(schemas.values()):
                file.seek(begin)
                yield decode(file.readline(), path, 1), done
            file.seek(offset)
        else:
            schemas = {}
        text = file.readline()
        while text.endswith(b"\n"):  # else it is still being written, and the next run reads it
            following = file.readline()
            line, begin, offset = line + 1, offset, offset + len(text)
            if not is_half(text, following):
                message = decode(text, path, line)
                if message["type"] == "SCHEMA":
                    schemas.pop("", None)
                    schemas[message["stream"]] = begin
                yield message, {"line": line, "offset": offset, "schemas": dict(schemas)}
            text = following


def is_half(text: bytes, following: bytes) -> bool:
    """Whether a run was killed while it wrote this line: the next run began behind it, with its SCHEMA."""
    return type_of(text) is None and type_of(following) == "SCHEMA"


def type_of(text: bytes) -> str | None:
    """The type of a message; None where it is none."""
    try:
        return str(json.loads(text.removeprefix(BOM))["type"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def decode(text: bytes, path: Path, line: int) -> Message:
    """One Singer message; ends the run where it is none."""
    if type_of(text) is None:
        fail(f"{path}, line {line}: no Singer message; mend or remove that line.")
    message: Message = without_unstorable(json.loads(text.removeprefix(BOM)))
    return message


def without_unstorable(value: Json) -> Json:
    """A value without what no warehouse text can hold: NUL and halves of characters."""
    if isinstance(value, str):
        return "".join(char for char in value if char != "\0" and not "\ud800" <= char <= "\udfff")
    if isinstance(value, list):
        return [without_unstorable(each) for each in value]
    if isinstance(value, dict):
        return {without_unstorable(name): without_unstorable(each) for name, each in value.items()}
    return value


def read(pattern: str, state: Message) -> Iterator[Message]:
    """Every unread message of every file that matches, and the STATE after each file."""
    done = state.get("bookmarks", {}).get(BOOKMARK, {})
    for name in sorted(glob.glob(pattern)):  # noqa: PTH207  the setting is a pattern, absolute or not
        path = Path(name)
        for message, bookmark in unread(path, done.get(name, {})):
            if message["type"] != "STATE":
                yield with_source(message, path.name, bookmark["line"])
            done[name] = bookmark
        yield {"type": "STATE", "value": {"bookmarks": {BOOKMARK: done}}}


def fail(sentence: str) -> NoReturn:
    """End with one sentence and a status of 1."""
    sys.exit(f"tap-receipts: {sentence}")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="tap-receipts", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", required=True, help="file with the setting `path`, or the JSON itself")
    parser.add_argument("--state", help="file with the last STATE's value")
    given = parser.parse_args()
    text = given.config if given.config.startswith("{") else Path(given.config).read_text(encoding="utf-8")
    pattern = json.loads(text).get("path")
    if not pattern:
        fail("the setting `path` is missing: the file or glob that target-appcrm's `receipts_path` names.")
    state = json.loads(Path(given.state).read_text(encoding="utf-8")) if given.state else {}
    for message in read(pattern, state):
        sys.stdout.write(json.dumps(message) + "\n")


if __name__ == "__main__":
    main()
