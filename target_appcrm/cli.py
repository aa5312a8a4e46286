"""Where the command begins."""

from __future__ import annotations

from appcrm.collector import at_rest
from appcrm.deferral import deferred


def main() -> None:
    """Run ``target-appcrm`` with the arguments of the process, and end it."""
    with at_rest(), deferred():
        from target_appcrm.target import TargetAppcrm  # noqa: PLC0415  half a second of imports
    TargetAppcrm.cli()
