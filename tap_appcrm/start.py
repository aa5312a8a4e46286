"""Where the command begins."""

from __future__ import annotations

from appcrm.collector import at_rest


def main() -> None:
    """Run ``tap-appcrm`` with the arguments of the process, and end it."""
    with at_rest():
        from tap_appcrm.tap import TapAppcrm  # noqa: PLC0415  half a second of imports
    TapAppcrm.cli()
