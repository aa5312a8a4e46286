"""``tap-appcrm`` and ``python -m tap_appcrm``."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Load the command and run it; Ctrl-C while it is being loaded ends in a sentence, too."""
    try:
        from tap_appcrm.cli import main as run  # noqa: PLC0415  loading takes a second, in which people press keys
    except KeyboardInterrupt:
        sys.stderr.write("Stopped by you, before anything was read\n")
        sys.exit(INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
