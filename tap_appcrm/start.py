"""Where the command begins."""

from __future__ import annotations

import sys

from appcrm.collector import at_rest
from appcrm.deferral import deferred


def main() -> None:
    """Run ``tap-appcrm`` with the arguments of the process, and end it."""
    with at_rest(), deferred():
        from tap_appcrm.headstart import HeadStart, HeldMessages, plan_of  # noqa: PLC0415  it comes before the SDK

        messages = HeldMessages()
        with messages.held():
            plan = plan_of(sys.argv[1:])
            head_start = None if plan is None else HeadStart(plan)
            if head_start is not None:
                head_start.begin()
            from tap_appcrm.tap import TapAppcrm  # noqa: PLC0415  half a second of imports
    command = TapAppcrm.cli
    messages.let_out()
    command(obj=head_start)
