"""A PostgreSQL of the tests' own: a cluster in a folder, run by an ordinary user because it refuses root."""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

START_WITHIN_S = 30.0


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL of the tests' own: reached through a socket or on loopback, its owner has a password."""

    folder: str
    port: int
    password: str = "planted-postgres-4711"

    @property
    def log(self) -> Path:
        """What the server says."""
        return Path(self.folder) / "log"

    def conninfo(self, database: str) -> str:
        """Everything but the password."""
        return f"host={self.folder} port={self.port} user=daybook dbname={database}"

    def connected(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A session of its own, every statement its own transaction."""
        return psycopg.connect(self.conninfo(database), password=self.password, autocommit=True)


class Cluster:
    """A PostgreSQL that can be stopped and started again.

    Args:
        server: how it is reached.
        binaries: folder of its programs.
        user: as whom they run.
    """

    def __init__(self, server: PostgresServer, binaries: str, user: dict[str, Any]) -> None:
        self.server, self._binaries, self._user = server, binaries, user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process_id(self) -> int:
        """Of the server's first process, of which all others are children."""
        assert self._process is not None
        return self._process.pid

    def initialise(self) -> None:
        """Make the cluster, once."""
        folder = self.server.folder
        (Path(folder) / "password").write_text(self.server.password)
        access = ["-U", "daybook", "-A", "scram-sha-256", "--pwfile", f"{folder}/password"]
        subprocess.run(
            [f"{self._binaries}/initdb", "-D", f"{folder}/data", *access, "--no-sync", "-E", "UTF8", "--locale=C"],
            check=True,
            capture_output=True,
            **self._user,
        )

    def start(self) -> None:
        """Start it, and return when it answers."""
        folder = self.server.folder
        settings = (f"unix_socket_directories={folder}", "fsync=off")
        options = [word for setting in settings for word in ("-c", setting)]
        with self.server.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    f"{self._binaries}/postgres",
                    *["-D", f"{folder}/data", *options, "-h", "127.0.0.1", "-p", str(self.server.port)],
                ],
                stderr=log,
                **self._user,
            )
        deadline = time.monotonic() + START_WITHIN_S
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError), self.server.connected():
                return
            time.sleep(0.1)
        raise TimeoutError("PostgreSQL did not start")

    def stop(self) -> None:
        """End it at once: sessions are cut, what was committed stays."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None


def find_initdb() -> str | None:
    """Where PostgreSQL's programs are; None where it is not installed."""
    programs = [shutil.which("initdb"), *sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), reverse=True)]
    return next((program for program in programs if program), None)


@contextlib.contextmanager
def running(initdb: str, port: int) -> Iterator[Cluster]:
    """A cluster that runs until the block ends, and leaves nothing behind.

    Args:
        initdb: the program, beside which the others are.
        port: where it listens.
    """
    # A socket's path may have 107 characters, and pytest's folders are closed to other users.
    folder = tempfile.mkdtemp(prefix="daybook-postgres-")
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        owner = next(entry for entry in pwd.getpwall() if entry.pw_name in ("postgres", "nobody"))
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    cluster = Cluster(PostgresServer(folder, port), os.path.dirname(os.path.realpath(initdb)), user)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        cluster.initialise()
        stack.callback(cluster.stop)
        cluster.start()
        yield cluster
