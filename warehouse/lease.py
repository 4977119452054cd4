"""Who may write: one writer at a time, and everyone who waits learns who it is.

A lease is a lock: a locked file beside an SQLite catalog, an advisory lock of a session on PostgreSQL. Kernel or server
free it when its holder dies. Invariant: two writers that both believe to hold it are told apart by
`warehouse/fence.py`, because a lock file can be removed and a session can be ended while its holder sleeps.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import filelock
import psycopg

from warehouse import errors, storage
from warehouse.storage import LakeLocation

# Advisory locks are numbers, one space per database: any number does, as long as it is always the same.
ADVISORY_KEY = 0xDA_B0_0C
# PostgreSQL keeps 63 bytes of a session's name.
MOST_NAME_BYTES = 63
# A machine that vanished (no power, no network, a paused virtual machine) answers no keep-alive; the server then ends
# its session and frees the lock: after 30 s of silence and three probes, a minute in all.
SESSION_SETTINGS = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "idle_session_timeout": "0",
}

Session = psycopg.Connection[Any]


@dataclass(frozen=True)
class Holder:
    """A writer, as others see it.

    Args:
        holder: what it does, such as `daily/2026-11-20`.
        pid: its process.
        host: its machine.
    """

    holder: str
    pid: int
    host: str

    @classmethod
    def here(cls, holder: str) -> Holder:
        """This process."""
        return cls(holder, os.getpid(), socket.gethostname())

    def __str__(self) -> str:
        return f"{self.holder} (process {self.pid} on {self.host})"


@contextlib.contextmanager
def locked(location: LakeLocation, holder: Holder, wait_s: float) -> Iterator[Session | None]:
    """The lake's lock, held until the end of the block; yields PostgreSQL's session that holds it, if it is there.

    Args:
        location: which lake.
        holder: who asks.
        wait_s: seconds to wait for another writer.

    Raises:
        LakeBusy: another writer kept it for longer than `wait_s`.
        ConfigError: the folder cannot be made, or the server not reached.
    """
    _make_folder(location.path)
    if location.catalog_file is None:
        with _session_lock(location, holder, wait_s) as session:
            yield session
    else:
        with _file_lock(location, holder, wait_s):
            yield None


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise errors.ConfigError(f"cannot make the lake's folder {path}: {exc.strerror}.") from exc


@contextlib.contextmanager
def _file_lock(location: LakeLocation, holder: Holder, wait_s: float) -> Iterator[None]:
    """Two processes writing one SQLite catalog can corrupt it."""
    lock_path, note = _lock_files(location)
    _make_folder(lock_path.parent)
    lock = filelock.FileLock(lock_path)
    own = json.dumps(asdict(holder))
    try:
        lock.acquire(timeout=wait_s)
        note.write_text(own)
    except filelock.Timeout as exc:
        raise _busy(location, _read_note(note), wait_s) from exc
    except OSError as exc:
        lock.release()
        raise errors.LakeError(f"the lock {lock_path} cannot be taken: {location.told(exc)}") from exc
    try:
        yield
    finally:
        # Whoever took the lake over while this process slept has left a note of its own.
        with contextlib.suppress(FileNotFoundError):
            if note.read_text() == own:
                note.unlink()
        lock.release()


def _lock_files(location: LakeLocation) -> tuple[Path, Path]:
    """Lock and note, beside a catalog that was named: two homes that share it share them."""
    if location.catalog and location.catalog_file is not None:
        stem = location.catalog_file
        return stem.with_name(f"{stem.name}.writer.lock"), stem.with_name(f"{stem.name}.writer.json")
    return location.path / "writer.lock", location.path / "writer.json"


def _read_note(note: Path) -> str:
    try:
        return str(Holder(**json.loads(note.read_text())))
    except (OSError, ValueError, TypeError):
        return "another process"


@contextlib.contextmanager
def _session_lock(location: LakeLocation, holder: Holder, wait_s: float) -> Iterator[Session]:
    name = f"daybook {holder}".encode()[:MOST_NAME_BYTES].decode(errors="ignore")
    with contextlib.closing(storage.connected(location, application_name=name)) as session:
        try:
            settings = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in SESSION_SETTINGS.items())
            # Zero would mean to wait for ever.
            wait_ms = max(1, round(wait_s * 1000))
            session.execute(f"select {settings}, set_config('lock_timeout', '{wait_ms}ms', false)")
            session.execute("select pg_advisory_lock(%s)", [ADVISORY_KEY])
        except psycopg.errors.LockNotAvailable as exc:
            raise _busy(location, _read_session(session), wait_s) from exc
        except psycopg.Error as exc:
            raise errors.LakeError(
                f"the lock of the lake {location.name} cannot be taken: {location.told(exc)} Run again."
            ) from exc
        yield session


def _read_session(session: Session) -> str:
    """Who holds the advisory lock: by the writer's row, or by its session's name while that is not written yet."""
    held = session.execute(
        "select a.application_name, a.pid from pg_locks l join pg_stat_activity a using (pid)"
        " where l.locktype = 'advisory' and l.granted and l.database = (select oid from pg_database"
        " where datname = current_database()) and l.classid = 0 and l.objid = %s",
        [ADVISORY_KEY],
    ).fetchone()
    if held is None:
        return "another process"
    with contextlib.suppress(psycopg.errors.UndefinedTable):
        row = session.execute(
            "select holder, pid, host from daybook_writer where session_pid = %s", [held[1]]
        ).fetchone()
        if row is not None:
            return f"{Holder(*row)}, PostgreSQL session {held[1]}"
    return f"{held[0] or 'another process'}, PostgreSQL session {held[1]}"


def _busy(location: LakeLocation, holder: str, wait_s: float) -> errors.LakeBusy:
    return errors.LakeBusy(
        f"the lake at {location.name} is being written by {holder}; waited {wait_s:g} s. Run again when it has ended."
    )
