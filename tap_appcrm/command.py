"""The one orderly end of the command: whatever happens, one sentence and the right exit code."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

import click
from singer_sdk.exceptions import ConfigValidationError, MapExpressionError, StreamMapConfigError

from appcrm.errors import AppcrmError, one_sentence
from appcrm.text import printable
from tap_appcrm.source.thread_pool import Terminated

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("tap-appcrm")

INTERRUPTED = 128 + signal.SIGINT
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What a file behind standard output, or of a BATCH, fails with."""


class InputError(AppcrmError):
    """A file or variable given to the command that cannot be used."""


class LoaderGone(AppcrmError):
    """Whoever reads standard output has stopped."""


class Command(click.Command):
    """A click command that ends in one sentence and the exit code that says how it went."""

    @classmethod
    def around(cls, command: click.Command) -> Command:
        """Return the same command with an orderly end."""
        return cls(
            name=command.name,
            callback=command.callback,
            params=command.params,
            help=command.help,
            context_settings=command.context_settings,
        )

    def main(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401  click's own signature
        """Run the command and end the process."""
        sys.exit(ended(lambda: super(Command, self).main(*arguments, **options | {"standalone_mode": False})))

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:  # noqa: ANN401  click's own signature
        """Read the command line; --discover and --test do their work here."""
        with told_of_a_closed_pipe():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  click's own signature
        """Run the command's body."""
        with told_of_a_closed_pipe():
            return super().invoke(ctx)


@contextmanager
def told_of_a_closed_pipe() -> Iterator[None]:
    """Give a closed pipe a class of its own, before click ends the process over it without a word."""
    try:
        yield
    except BrokenPipeError as error:
        raise LoaderGone(
            "the loader closed the pipe: see its own messages, then run again with the last state it kept"
        ) from error


def ended(run: Any) -> int:  # noqa: ANN401  any call without arguments
    """Run a command; whatever it raises becomes one sentence on standard error, and its exit code is returned."""
    code = 1
    try:
        result = run()
        sys.stdout.flush()
        code = result if isinstance(result, int) else 0
    except BaseException as error:  # noqa: BLE001  the one orderly end: no traceback ever reaches a user
        code = exit_code_of(error)
        for sentence in sentences_of(error):
            logger.error("%s", sentence)  # noqa: TRY400  no traceback: that is the point
    finally:
        for number, stream in enumerate((sys.stdout, sys.stderr), 1):
            _release(stream, number)
    return code


def exit_code_of(error: BaseException) -> int:
    """Return the exit code: of a signal 128 and its number, of a wrong command line 2, of anything else 1."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return INTERRUPTED
    return error.exit_code if isinstance(error, click.ClickException) else 1


def sentences_of(error: BaseException) -> Iterator[str]:
    """Yield what people are told of an exception; nothing where all is said."""
    if isinstance(error, Terminated):
        told = "Stopped by you" if error.code == INTERRUPTED else "Stopped by a signal"
        if error.__cause__ is None:
            yield f"{told}: the state is written, and the next run goes on from it"
        else:
            yield f"{told}: the loader was gone before the state was written; the next run goes on from the last kept"
    elif isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        return
    elif isinstance(error, (KeyboardInterrupt, click.Abort)):
        yield "Stopped by you, before anything was read"
    elif isinstance(error, ConfigValidationError):
        yield from error.errors
    elif isinstance(error, (MapExpressionError, StreamMapConfigError)):
        yield f"stream_maps: {printable(error)}"
    elif isinstance(error, click.ClickException):
        yield printable(error.format_message())
    elif isinstance(error, OSError) and error.errno in NO_ROOM:
        yield (
            f"The output cannot be written ({error.strerror}): make room where it goes, then run again with the "
            "last state that was kept"
        )
    else:
        yield one_sentence(error)


def _release(stream: TextIO | None, number: int) -> None:
    """Write out what a standard stream still holds; what cannot be written must not end Python with an error."""
    if stream is None:
        return
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
