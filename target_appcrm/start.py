"""Where the command begins."""

from __future__ import annotations

from appcrm.collector import at_rest


def main() -> None:
    """Run ``target-appcrm`` with the arguments of the process, and end it."""
    with at_rest():
        from target_appcrm.target import TargetAppcrm  # noqa: PLC0415  half a second of imports
    TargetAppcrm.cli()
