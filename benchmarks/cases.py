"""The tools that are measured, each in an environment of its own, and the jobs that they are given."""

from __future__ import annotations

from dataclasses import dataclass

from measuring import ENVIRONMENTS, HERE, PRODUCT, Case

PEERS = HERE / "peers"
CONFIG = ("--config", "{folder}/config.json")
AIRBYTE_FILES = ("--config", "{folder}/airbyte-config.json", "--catalog", "{folder}/airbyte-catalog.json")

TAP = "tap-appcrm"
TARGET = "target-appcrm"
SDK_TAP = "naive Singer SDK tap"
SDK_TARGET = "naive Singer SDK target"
LOOP = "requests loop"
RAW_LIMIT = "limit: raw sockets"


def peer(environment: str, script: str, *arguments: str) -> tuple[str, ...]:
    """Return the command of a script in one of the environments."""
    return (str(ENVIRONMENTS / environment / "bin" / "python"), str(PEERS / script), *arguments)


def airbyte(manifest: str) -> tuple[str, ...]:
    """Return the command of Airbyte's declarative source."""
    command = str(ENVIRONMENTS / "airbyte" / "bin" / "source-declarative-manifest")
    return (command, "read", *AIRBYTE_FILES, "--manifest-path", f"{{folder}}/{manifest}")


READERS = (
    Case(TAP, (str(PRODUCT / "tap-appcrm"), *CONFIG, "--catalog", "{folder}/catalog.json"), in_flight=8),
    Case(SDK_TAP, peer("sdk", "read_sdk.py", *CONFIG)),
    Case("dlt rest_api", peer("dlt", "read_dlt.py", "{address}", "declared"), counts_itself=True),
    Case(
        "dlt, pages in parallel",
        peer("dlt", "read_dlt.py", "{address}", "parallel"),
        in_flight=8,
        counts_itself=True,
    ),
    Case("Airbyte low-code", airbyte("airbyte.yaml")),
    Case("Airbyte, pages in parallel", airbyte("airbyte-pages.yaml"), in_flight=8),
    Case(LOOP, peer("limit", "read_loop.py", "{address}")),
    Case("limit: aiohttp, orjson", peer("limit", "read_limit.py", "{address}", "aiohttp", "8"), in_flight=8),
    Case(RAW_LIMIT, peer("limit", "read_limit.py", "{address}", "raw", "8"), in_flight=8),
)
WRITERS = (
    Case(TARGET, (str(PRODUCT / "target-appcrm"), *CONFIG), in_flight=8),
    Case(SDK_TARGET, peer("sdk", "write_sdk.py", *CONFIG)),
    Case("Hotglue SDK target", peer("hotglue", "write_hotglue.py", *CONFIG)),
    Case("dlt destination", peer("dlt", "write_dlt.py", "{address}", "plain", "{source}")),
    Case(
        "dlt destination, small files",
        peer("dlt", "write_dlt.py", "{address}", "parallel", "{source}"),
        in_flight=8,
    ),
    Case(
        "drt",
        (str(ENVIRONMENTS / "drt" / "bin" / "drt"), "run"),
        environment={"DRT_TELEMETRY": "0"},
        prepare=peer("limit", "drt_files.py", "{folder}", "{address}", "{source}"),
        home=True,
    ),
    Case(LOOP, peer("limit", "write_loop.py", "{address}", "create")),
    Case(
        "limit: requests in threads",
        peer("limit", "write_limit.py", "{address}", "threads", "8"),
        in_flight=8,
    ),
    Case(RAW_LIMIT, peer("limit", "write_limit.py", "{address}", "raw", "8"), in_flight=8),
)
TOO_SLOW_FOR_MANY = frozenset({"dlt, pages in parallel", "Airbyte, pages in parallel"})


@dataclass(frozen=True)
class Group:
    """Cases that are run in turns against the same API.

    Args:
        title: in tables.
        contacts: read, or written as new ones into a CRM without any.
        latency_ms: that the API takes for each request.
        writes: whether contacts are written.
        only: names of cases; empty for all.
        more_rounds: rounds beyond the usual number.
    """

    title: str
    contacts: int
    latency_ms: float
    writes: bool = False
    only: tuple[str, ...] = ()
    more_rounds: int = 0

    @property
    def cases(self) -> list[Case]:
        """The cases of this group."""
        known = WRITERS if self.writes else READERS
        return [case for case in known if not self.only or case.name in self.only]


GROUPS = {
    "start": Group("Start-up: one contact read", 1, 0, only=(TAP, SDK_TAP, LOOP), more_rounds=6),
    "start-write": Group(
        "Start-up: one contact written", 1, 0, writes=True, only=(TARGET, SDK_TARGET, LOOP), more_rounds=6
    ),
    "read-0": Group("Reading 10,000 contacts at 0 ms", 10_000, 0, more_rounds=4),
    "read-100k": Group(
        "Reading 100,000 contacts at 0 ms",
        100_000,
        0,
        only=tuple(case.name for case in READERS if case.name not in TOO_SLOW_FOR_MANY),
    ),
    "read-50": Group("Reading 10,000 contacts at 50 ms", 10_000, 50),
    "read-50-100k": Group("Reading 100,000 contacts at 50 ms", 100_000, 50, only=(TAP, RAW_LIMIT)),
    "write-0-500": Group("Writing 500 new contacts at 0 ms", 500, 0, writes=True, only=(TARGET, SDK_TARGET)),
    "write-0": Group("Writing 2,500 new contacts at 0 ms", 2_500, 0, writes=True),
    "write-50-500": Group(
        "Writing 500 new contacts at 50 ms", 500, 50, writes=True, only=(TARGET, RAW_LIMIT)
    ),
    "write-50": Group("Writing 2,500 new contacts at 50 ms", 2_500, 50, writes=True),
}
