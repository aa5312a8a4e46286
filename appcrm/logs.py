"""What libraries log about requests shows addresses with queries, so it never goes out, at whatever level.

A level alone would not do: the SDK's log configuration file may set any logger's level after us, but it leaves
filters where they are.
"""

from __future__ import annotations

import logging

LIBRARIES = ("urllib3", "requests", "charset_normalizer", "idna")
KNOWN_LOGGERS = (
    "requests",
    "urllib3",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.contrib.socks",
    "urllib3.poolmanager",
    "urllib3.response",
    "urllib3.util.retry",
)
"""A filter holds for its own logger alone, not for those below it, so each is named."""


def hush_libraries() -> None:
    """Let nothing that the HTTP libraries log go out; what a request did, the session says in its own words."""
    made = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in LIBRARIES]
    for name in {*KNOWN_LOGGERS, *made}:
        logging.getLogger(name).addFilter(_nothing)


def _nothing(_: logging.LogRecord) -> bool:
    return False
