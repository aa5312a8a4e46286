"""Files that hold personal data: readable by their owner only, and never written where something else lies.

A regular file is made with mode 0600, or tightened to it. A symbolic link is refused: what it points at is not what
the setting names. (A folder on the way may be one: that is the user's own arrangement.) A character device or a FIFO
is written through and never replaced. Folders that are made on the way have mode 0700.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from appcrm.errors import SettingsError

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
WIDER_THAN_PRIVATE = 0o077


def open_private(path: str, setting: str) -> IO[bytes]:
    """Open a file to append to, behind a whole last line.

    Args:
        path: made where it is missing, with its folders.
        setting: the one that says where, for messages.

    Raises:
        SettingsError: it cannot be opened, or is no plain file, FIFO or character device.
    """
    try:
        make_private_folder(Path(path).parent)
        kind = _checked_kind(path, setting)
        return (
            _open_special(path)
            if kind is not None and not stat.S_ISREG(kind)
            else _open_regular(path, setting)
        )
    except OSError as error:
        raise _cannot_be_written(path, setting, error) from error


def replace_private(path: str, content: bytes, setting: str) -> None:
    """Give a file a new content: it is there whole or as it was before.

    Args:
        path: made where it is missing, with its folders.
        content: all of it.
        setting: the one that says where, for messages.

    Raises:
        SettingsError: it cannot be written, or is no plain file, FIFO or character device.
    """
    target = Path(path)
    try:
        make_private_folder(target.parent)
        kind = _checked_kind(path, setting)
        if kind is not None and not stat.S_ISREG(kind):
            with _open_special(path) as special:
                special.write(content)
            return
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}-", suffix=".new")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_be_written(path, setting, error) from error


def check_writable(path: str, setting: str) -> None:
    """Check that a file could be opened later, without making it.

    Raises:
        SettingsError: it could not.
    """
    try:
        _checked_kind(path, setting)
    except OSError as error:
        raise _cannot_be_written(path, setting, error) from error
    place = Path(path).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not os.access(place, os.W_OK) or (place != Path(path).absolute() and not place.is_dir()):
        raise SettingsError(f"{setting}: {path} cannot be written; set another path")


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner only.

    Raises:
        OSError: it cannot be made.
    """
    if folder.is_dir():
        return
    make_private_folder(folder.parent)
    try:
        folder.mkdir(PRIVATE_FOLDER)
    except FileExistsError:
        # Another run of the same hour made it meanwhile.
        if not folder.is_dir():
            raise


def _checked_kind(path: str, setting: str) -> int | None:
    """Return the mode of what lies at a path, None for nothing, and refuse what is not to be written."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(mode):
        raise SettingsError(f"{setting}: {path} is a symbolic link; set the path of the file itself")
    if stat.S_ISDIR(mode):
        raise SettingsError(f"{setting}: {path} is a directory; name a file")
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        raise SettingsError(f"{setting}: {path} is not a plain file; set another path")
    return mode


def _open_special(path: str) -> IO[bytes]:
    """Open a device or FIFO to write through; a FIFO that nobody reads is an error instead of a long wait."""
    handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    os.set_blocking(handle, True)
    return os.fdopen(handle, "wb")


def _open_regular(path: str, setting: str) -> IO[bytes]:
    # Without O_NOFOLLOW, a link put there since the check would be followed.
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, PRIVATE_FILE)
    with ExitStack() as on_failure:
        on_failure.callback(os.close, handle)
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            raise SettingsError(f"{setting}: {path} is not a plain file; set another path")
        if state.st_mode & WIDER_THAN_PRIVATE:
            _tighten(handle, path, setting)
        if state.st_size and os.pread(handle, 1, state.st_size - 1) != b"\n":
            # A run that was killed while it wrote leaves half a line.
            os.write(handle, b"\n")
        on_failure.pop_all()
    return os.fdopen(handle, "ab")


def _tighten(handle: int, path: str, setting: str) -> None:
    try:
        os.fchmod(handle, PRIVATE_FILE)
    except PermissionError as error:
        raise SettingsError(
            f"{setting}: {path} belongs to another user and may be read by others; set another path"
        ) from error


def _cannot_be_written(path: str, setting: str, error: OSError) -> SettingsError:
    return SettingsError(f"{setting}: {path} cannot be written ({error.strerror or error}); set another path")
