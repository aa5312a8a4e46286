"""How cost grows with the number of contacts: seconds, CPU, memory and requests from 1,000 up."""

from __future__ import annotations

from typing import Any

from cases import LOOP, READERS, TAP, TARGET, WRITERS
from counting import named
from measuring import measure, simulator
from singer_input import write_input

SIZES = (1_000, 10_000, 100_000, 1_000_000)
LARGEST_OF_PEERS = 100_000


def measure_growth() -> dict[str, Any]:
    """Measure reading and writing new contacts at 0 ms, up to a million: half an hour, most of it the last write."""
    reads, writes = [], []
    for size in SIZES:
        with simulator(size, 0) as crm:
            for name in (TAP, LOOP) if size <= LARGEST_OF_PEERS else (TAP,):
                reads.append(measure(named(READERS, name), crm, expected=size).dump())
                print("read", size, reads[-1], flush=True)
    for size in SIZES:
        source = write_input("growth", range(1, size + 1))
        with simulator(0, 0) as crm:
            writes.append(measure(named(WRITERS, TARGET), crm, source=source, expected=size).dump())
            print("write", size, writes[-1], flush=True)
    return {"reads": reads, "writes": writes}
