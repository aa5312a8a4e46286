"""Where the command begins: standard streams and logs are made good before anything else is loaded."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress

from appcrm.logs import hush_libraries
from tap_appcrm.command import InputError, ended

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LEVEL_VARIABLES = ("TAP_APPCRM_LOGLEVEL", "LOGLEVEL")
NOISE = ("Skipping parse of env var settings...", "Parsing env var for settings config...")
"""What the SDK tells in every run and nobody needs."""

logger = logging.getLogger("tap-appcrm")


def _without_noise(record: logging.LogRecord) -> bool:
    return record.msg not in NOISE


def prepare_process() -> None:
    """Make standard streams and logs what the run can rely on.

    Raises:
        InputError: standard output is closed, or a log level is none.
    """
    # A closed stream's number would be given to the next socket or file.
    for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_RDWR), number)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  it stays open to the end
    if sys.stdout is None:
        raise InputError("Standard output is closed: the tap writes its messages there")
    logging.raiseExceptions = False  # a log line that cannot be written must not become a traceback
    logging.captureWarnings(capture=True)
    logger.addFilter(_without_noise)
    logging.getLogger("tap-appcrm.summary").setLevel(logging.INFO)
    hush_libraries()
    for name in LEVEL_VARIABLES:
        if os.environ.get(name, "INFO").upper() not in LEVELS:
            raise InputError(f"{name} must be one of {', '.join(LEVELS)}")


def main() -> None:
    """Run ``tap-appcrm`` with the arguments of the process, and end it."""
    sys.exit(ended(_run))


def _run() -> None:
    prepare_process()
    from tap_appcrm.tap import TapAppcrm  # noqa: PLC0415  a fault while it loads is one sentence too

    TapAppcrm.cli()
