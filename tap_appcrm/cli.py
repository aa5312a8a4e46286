"""The command line: expected failures end in one clear sentence and exit code 1, never in a traceback."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import ConfigValidationError, MapExpressionError, StreamMapConfigError
from singer_sdk.plugin_base import SingerCommand

from appcrm.errors import AppcrmError

if TYPE_CHECKING:
    import click


class InputError(AppcrmError):
    """A file given on the command line that cannot be used."""


class LoaderGone(AppcrmError):
    """Whoever reads standard output has stopped."""


NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What a file behind standard output, or of a BATCH, fails with."""


class Command(SingerCommand):
    """A click command that names what went wrong."""

    @classmethod
    def around(cls, command: click.Command, logger: Any) -> Command:  # noqa: ANN401  a logger, by the SDK's property
        """Return the same command with clean endings."""
        return cls(
            name=command.name,
            callback=command.callback,
            params=command.params,
            help=command.help,
            context_settings=command.context_settings,
            logger=logger,
        )

    def main(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401  click's own signature
        """Run the command and end the process."""
        try:
            return super().main(*arguments, **options)
        except ConfigValidationError as error:
            for sentence in error.errors:
                self.logger.error("%s", sentence)  # noqa: TRY400  a traceback says nothing more
        except AppcrmError as error:
            self.logger.error("%s", error)  # noqa: TRY400  a traceback says nothing more
        except (MapExpressionError, StreamMapConfigError) as error:
            self.logger.error("stream_maps: %s", error)  # noqa: TRY400  the same
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            _close_output()
            self.logger.error(  # noqa: TRY400  a traceback says nothing more
                "The output cannot be written (%s): make room where it goes, then run again with the last state "
                "that was kept",
                error.strerror,
            )
        sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  click's own signature
        """Run the command's body."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            _close_output()
            raise LoaderGone(
                "the loader closed the pipe: see its own messages, then run again with the last state it kept"
            ) from error


def _close_output() -> None:
    """Keep Python from complaining again when it closes standard output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """Run ``tap-appcrm`` with the arguments of the process, and end it."""
    from tap_appcrm.tap import TapAppcrm  # noqa: PLC0415  the tap is built on the command of this module

    TapAppcrm.cli()
