"""Where the command begins."""

from __future__ import annotations

from target_appcrm.target import TargetAppcrm


def main() -> None:
    """Run ``target-appcrm`` with the arguments of the process, and end it."""
    TargetAppcrm.cli()
