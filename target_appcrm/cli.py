"""Where the command begins."""

from __future__ import annotations

import os

from target_appcrm.target import TargetAppcrm

LAST_STANDARD_STREAM = 2


def main() -> None:
    """Run ``target-appcrm`` with the arguments of the process, and end it."""
    keep_standard_streams()
    TargetAppcrm.cli()


def keep_standard_streams() -> None:
    """Have no file of ours take the place of a standard stream that the caller closed."""
    handle = os.open(os.devnull, os.O_RDWR)
    while handle <= LAST_STANDARD_STREAM:
        handle = os.open(os.devnull, os.O_RDWR)
    os.close(handle)
