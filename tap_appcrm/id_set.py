"""A set of ids that stays small: a million ids take about 130 KB in memory and a few in the state."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK_BITS = 13
CHUNK_SIZE = 1 << CHUNK_BITS
CHUNK_BYTES = CHUNK_SIZE // 8
CHUNK_MASK = CHUNK_SIZE - 1
LARGEST_SPARSE = 32
"""Ids of a chunk that are kept one by one before a bitmap is the smaller."""
MOST_BYTES = 64 << 20
"""What a packed set may unpack to: half a thousand million ids, far beyond any CRM."""
LARGEST_ID = (1 << 63) - 1


class IdSet:
    """Whole numbers from 0 on, in bitmaps of 8,192 neighbours each."""

    def __init__(self, ids: Iterable[int] = ()) -> None:
        self._chunks: dict[int, bytearray | set[int]] = {}
        self._count = 0
        self._packed: dict[int, bytes] = {}
        for number in ids:
            self.add(number)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int) or number < 0:
            return False
        chunk = self._chunks.get(number >> CHUNK_BITS)
        if chunk is None:
            return False
        low = number & CHUNK_MASK
        if isinstance(chunk, set):
            return low in chunk
        return bool(chunk[low >> 3] >> (low & 7) & 1)

    def __iter__(self) -> Iterator[int]:
        """Yield the ids in ascending order."""
        for high in sorted(self._chunks):
            base = high << CHUNK_BITS
            for low in _members(self._chunks[high]):
                yield base | low

    def __reversed__(self) -> Iterator[int]:
        """Yield the ids in descending order."""
        for high in sorted(self._chunks, reverse=True):
            base = high << CHUNK_BITS
            for low in reversed(_members(self._chunks[high])):
                yield base | low

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdSet) and len(self) == len(other) and all(i in other for i in self)

    __hash__ = None  # type: ignore[assignment]  # a set that changes has no hash

    def add(self, number: int) -> bool:
        """Add an id; returns whether it is new."""
        high, low = number >> CHUNK_BITS, number & CHUNK_MASK
        chunk = self._chunks.get(high)
        if chunk is None:
            chunk = self._chunks[high] = set()
        if isinstance(chunk, set):
            if low in chunk:
                return False
            chunk.add(low)
            if len(chunk) > LARGEST_SPARSE:
                self._chunks[high] = _bitmap(chunk)
        else:
            bit = 1 << (low & 7)
            if chunk[low >> 3] & bit:
                return False
            chunk[low >> 3] |= bit
        self._packed.pop(high, None)
        self._count += 1
        return True

    def discard(self, number: int) -> None:
        """Remove an id, if it is there."""
        if number not in self:
            return
        high, low = number >> CHUNK_BITS, number & CHUNK_MASK
        chunk = self._chunks[high]
        if isinstance(chunk, set):
            chunk.discard(low)
        else:
            chunk[low >> 3] &= ~(1 << (low & 7))
        self._packed.pop(high, None)
        self._count -= 1

    def update(self, ids: Iterable[int]) -> None:
        """Add several ids."""
        for number in ids:
            self.add(number)

    def count_below(self, number: int) -> int:
        """How many of the ids are below a number."""
        high, low = number >> CHUNK_BITS, number & CHUNK_MASK
        count = 0
        for key, chunk in self._chunks.items():
            if key < high:
                count += len(chunk) if isinstance(chunk, set) else _bit_count(chunk)
            elif key == high:
                count += sum(member < low for member in _members(chunk))
        return count

    def to_text(self) -> str:
        """Pack the set for the state; chunks that did not change since the last call are not packed again."""
        parts = []
        previous = 0
        for high in sorted(self._chunks):
            packed = self._packed.get(high)
            if packed is None:
                chunk = self._chunks[high]
                bits = bytes(_bitmap(chunk) if isinstance(chunk, set) else chunk)
                packed = self._packed[high] = zlib.compress(bits, 6)
            parts.append(_varint(high - previous) + _varint(len(packed)) + packed)
            previous = high
        return base64.b64encode(zlib.compress(b"".join(parts), 6)).decode("ascii")

    @classmethod
    def from_text(cls, text: str) -> IdSet:
        """Read what ``to_text`` wrote.

        Raises:
            ValueError: the text is no such set.
        """
        result = cls()
        try:
            data = _decompressed(base64.b64decode(text, validate=True), MOST_BYTES)
            at = high = 0
            while at < len(data):
                step, at = _read_varint(data, at)
                size, at = _read_varint(data, at)
                bits = bytearray(_decompressed(data[at : at + size], CHUNK_BYTES))
                at += size
                high += step
                if len(bits) != CHUNK_BYTES or high > LARGEST_ID >> CHUNK_BITS or high in result._chunks:
                    raise ValueError("a chunk has the wrong size or place")
                count = _bit_count(bits)
                result._chunks[high] = set(_members(bits)) if count <= LARGEST_SPARSE else bits
                result._count += count
                if len(result._chunks) > MOST_BYTES // CHUNK_BYTES:
                    raise ValueError("more ids than a CRM can have")
        except (binascii.Error, zlib.error, IndexError) as error:
            raise ValueError("not a set of ids") from error
        return result


def _decompressed(packed: bytes, most_bytes: int) -> bytes:
    """Unpack, but never more than a set of ids can need."""
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(packed, most_bytes + 1)
    if len(data) > most_bytes or not unpacker.eof:
        raise ValueError("it is cut off, or unpacks to more than a set of ids needs")
    return data


def _bitmap(members: Iterable[int]) -> bytearray:
    bits = bytearray(CHUNK_BYTES)
    for low in members:
        bits[low >> 3] |= 1 << (low & 7)
    return bits


def _members(chunk: bytearray | set[int]) -> list[int]:
    if isinstance(chunk, set):
        return sorted(chunk)
    return [
        index << 3 | bit for index, byte in enumerate(chunk) if byte for bit in range(8) if byte >> bit & 1
    ]


def _bit_count(bits: bytearray) -> int:
    return int.from_bytes(bits, "little").bit_count()


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
        if shift > LARGEST_ID.bit_length():
            raise ValueError("a number is too long")
