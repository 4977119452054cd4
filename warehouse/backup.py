"""A second copy of everything, and the way back from it.

Invariants: a backup names every file with its digest in a manifest that is replaced last, so that a backup cut short
leaves the one before whole; nothing is restored before every digest was found right; the catalog is swapped in last
and in one move. A Parquet file never changes and has a name of its own, so one that is already there is not copied
again. Partner: `warehouse/data_files.py`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from warehouse import copying, errors, lake, tables

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
# Stands in a folder from the first file on: what a backup no longer names may be removed there, and nowhere else.
MARKER = "daybook-backup"
FORMAT = 1
CATALOG, DATA = "catalog.sqlite", "data"
FILE_TABLES = ("ducklake_data_file", "ducklake_delete_file")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Kept:
    """One file of a backup.

    Args:
        path: where it belongs: `catalog.sqlite`, or `data/`, `archive/` ... and the path below that folder.
        stored: where it lies in the backup, relative to its folder.
        n_bytes: its length.
        sha256: its digest.
        modified_ns: when the original was last written, as its file system says.
    """

    path: str
    stored: str
    n_bytes: int
    sha256: str
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds: when it was made, of which snapshot, and its files by the path they belong to."""

    made_at: str
    snapshot: int
    files: dict[str, Kept]


@dataclass(frozen=True, slots=True)
class Place:
    """What is backed up: a lake, and folders beside it by name, such as `archive` and `models`."""

    location: lake.LakeLocation
    folders: Mapping[str, Path]


def back_up(place: Place, to: Path, made_at: datetime, *, wait_s: float, progress: Progress) -> dict[str, int]:
    """What was copied: snapshot, files, files new since the last backup in that folder, bytes copied.

    Writers wait only while the catalog is copied. Files are safe after that: maintenance leaves one that falls out of
    use alone for hours.

    Args:
        place: what to back up.
        to: folder of the backup; made when missing. A backup already there is brought up to date.
        made_at: UTC.
        wait_s: seconds to wait for a writer.
        progress: told how far it is.

    Raises:
        ConfigError: there is no lake, its catalog or data is on a server, or the folder cannot be written, holds
            what no backup made, or is part of what is backed up.
        LakeBusy: a writer kept the lake.
        LakeError: a file the catalog names is gone.
    """
    _refuse_servers(place.location, "back up")
    if not place.location.exists:
        raise errors.ConfigError(f"there is no lake at {place.location.path}. Nothing was backed up; check --home.")
    _refuse_folder(place, to)
    held = _read_manifest(to).files if (to / MANIFEST).exists() else {}
    with _foreseen(f"the backup folder {to} cannot be written"):
        to.mkdir(parents=True, exist_ok=True)
        (to / MARKER).touch()
        snapshot, catalog = _copy_catalog(place.location, to, wait_s)
        kept = {CATALOG: catalog}
        sources = _list_sources(place, to / catalog.stored)
        n_copied = bytes_copied = 0
        for number, (path, source) in enumerate(sources.items()):
            entry, is_new = _keep(path, source, to, held.get(path))
            kept[path] = entry
            n_copied += is_new
            bytes_copied += entry.n_bytes * is_new
            progress("backup", number + 1, len(sources))
        manifest = {
            "format": FORMAT,
            "made_at": made_at.isoformat(),
            "snapshot": snapshot,
            "schema_version": tables.SCHEMA_VERSION,
            "files": [asdict(entry) for _, entry in sorted(kept.items())],
        }
        copying.write_whole(to / MANIFEST, json.dumps(manifest, indent=1).encode())
        _remove_unnamed(to, {entry.stored for entry in kept.values()})
    log.info("backed up snapshot=%s files=%s copied=%s bytes=%s to=%s", snapshot, len(kept), n_copied, bytes_copied, to)
    return {"snapshot": snapshot, "files": len(kept), "files_copied": n_copied, "bytes_copied": bytes_copied}


def restore(place: Place, source: Path, *, force: bool, wait_s: float, progress: Progress) -> dict[str, int]:
    """What was put back: snapshot, files, files that had to be written.

    Every digest is checked first. Files are written beside those they replace and moved into place, the catalog last
    of all, so that a restore that is cut short leaves the lake as it was, and can be run again. The catalog that was
    there stays as `catalog.sqlite.replaced`.

    Args:
        place: where to put it.
        source: folder of the backup.
        force: replace a lake that is there.
        wait_s: seconds to wait for a writer.
        progress: told how far it is.

    Raises:
        ConfigError: there is no backup, a lake is there and `force` is not given, or a place cannot be written.
        LakeBusy: a writer or a reader holds the lake.
        LakeError: a file of the backup is not as its manifest says; nothing was touched.
    """
    _refuse_servers(place.location, "restore")
    manifest = _read_manifest(source)
    held = manifest.files
    _refuse_unsound(source, held, progress)
    if place.location.exists and not force:
        raise errors.ConfigError(
            f"there is a lake at {place.location.path}. Nothing was touched; give --force to replace it by the backup "
            f"of {manifest.made_at}, or choose another --home."
        )
    with (
        lake.writer_lock(place.location, "restore", wait_s),
        _foreseen(f"the backup {source} cannot be put back at {place.location.path}"),
    ):
        n_written = 0
        others = {path: entry for path, entry in held.items() if path != CATALOG}
        for number, (path, entry) in enumerate(others.items()):
            n_written += _put_back(source / entry.stored, _target(place, path), entry)
            progress("restore", number + 1, len(others))
        _swap_catalog(place.location, source / held[CATALOG].stored)
    log.info("restored snapshot=%s files=%s written=%s", manifest.snapshot, len(held), n_written + 1)
    return {"snapshot": manifest.snapshot, "files": len(held), "files_written": n_written + 1}


def _refuse_servers(location: lake.LakeLocation, doing: str) -> None:
    if not location.catalog_address.startswith("sqlite:"):
        raise errors.ConfigError(
            f"daybook cannot {doing} a catalog on a server. Use pg_dump and pg_restore for the catalog, and copy the "
            "data folder after the dump, not before."
        )
    if "://" in location.data_address:
        raise errors.ConfigError(
            f"daybook cannot {doing} data at {location.data_address}. Use the store's own versioning or replication, "
            f"and copy {location.catalog_address.removeprefix('sqlite:')} with `sqlite3 ... .backup`."
        )


def _refuse_folder(place: Place, to: Path) -> None:
    """Files that the backup does not name are removed from its folder, so it must be the backup's alone."""
    there = to.resolve()
    for root in (place.location.path, Path(place.location.data_address), *place.folders.values()):
        home = root.resolve()
        if there == home or home in there.parents or there in home.parents:
            raise errors.ConfigError(
                f"{to} lies in {root} or around it, which is backed up itself. Nothing was touched; choose a folder "
                "elsewhere, best on another disk."
            )
    if to.exists() and not to.is_dir():
        raise errors.ConfigError(f"{to} is a file. Nothing was touched; name a folder.")
    is_ours = (to / MANIFEST).exists() or (to / MARKER).exists()
    if not is_ours and to.exists() and any(to.iterdir()):
        raise errors.ConfigError(
            f"{to} holds what no backup made. Nothing was touched; name an empty folder or one that is not there yet."
        )


def _catalog_path(location: lake.LakeLocation) -> Path:
    return Path(location.catalog_address.removeprefix("sqlite:"))


def _copy_catalog(location: lake.LakeLocation, to: Path, wait_s: float) -> tuple[int, Kept]:
    """The newest snapshot, and the catalog as it was then, copied while no writer could move."""
    fresh = to / f"{CATALOG}.partial"
    fresh.unlink(missing_ok=True)
    # DuckDB must not have this file open in this process: closing a second handle drops the first one's locks.
    with (
        lake.writer_lock(location, "backup", wait_s),
        contextlib.closing(sqlite3.connect(_catalog_path(location))) as opened,
        contextlib.closing(sqlite3.connect(fresh)) as copied,
    ):
        opened.backup(copied)
        copied.execute("pragma journal_mode = delete")
        snapshot = copied.execute("select max(snapshot_id) from ducklake_snapshot").fetchone()[0]
    n_bytes, digest = fresh.stat().st_size, copying.digest(fresh)
    stored = f"catalog-{snapshot}-{digest[:12]}.sqlite"
    os.replace(fresh, to / stored)
    return int(snapshot), Kept(CATALOG, stored, n_bytes, digest, 0)


def _list_sources(place: Place, catalog: Path) -> dict[str, Path]:
    """Every file to keep but the catalog, by the path it is kept under."""
    root = Path(place.location.data_address)
    sources = {f"{DATA}/{path}": root / path for path in _paths_named_by(catalog)}
    for name, folder in place.folders.items():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix != ".partial":
                sources[f"{name}/{path.relative_to(folder).as_posix()}"] = path
    return sources


def _paths_named_by(catalog: Path) -> list[str]:
    """Paths, below the data folder, of every file a catalog names."""
    with contextlib.closing(sqlite3.connect(f"file:{catalog}?mode=ro", uri=True)) as opened:
        rows = opened.execute(
            """
            with place as (
                select t.table_id, s.path || t.path as folder, max(t.begin_snapshot)
                from ducklake_table as t join ducklake_schema as s using (schema_id)
                where t.path_is_relative and s.path_is_relative group by t.table_id
            ),
            file as (
                select table_id, path from ducklake_data_file where path_is_relative
                union all select table_id, path from ducklake_delete_file where path_is_relative
            )
            select distinct place.folder || file.path from file join place using (table_id) order by 1
            """
        ).fetchall()
        counts = [opened.execute(f"select count(distinct path) from {name}").fetchone()[0] for name in FILE_TABLES]
    if len(rows) != sum(counts):
        raise errors.LakeError(
            f"the catalog names {sum(counts)} files, only {len(rows)} of them below its data folder. Nothing was "
            "backed up; copy the lake by hand."
        )
    return [row[0] for row in rows]


def _keep(path: str, source: Path, to: Path, before: Kept | None) -> tuple[Kept, bool]:
    """The entry of one file, copied unless the last backup has the same, and whether it was copied."""
    try:
        facts = source.stat()
    except FileNotFoundError as exc:
        raise errors.LakeError(
            f"{source} is gone, so the backup cannot be made; the one before it stands. See `daybook verify`."
        ) from exc
    is_same = before is not None and (before.n_bytes, before.modified_ns) == (facts.st_size, facts.st_mtime_ns)
    if before is not None and is_same and copying.has_length(to / before.stored, before.n_bytes):
        return before, False
    partial = to / "copy.partial"
    digest = copying.copy(source, partial)
    # A name that is taken belongs to the manifest that still stands.
    stored = path if not (to / path).exists() else f"{path}.{digest[:12]}"
    (to / stored).parent.mkdir(parents=True, exist_ok=True)
    os.replace(partial, to / stored)
    return Kept(path, stored, (to / stored).stat().st_size, digest, facts.st_mtime_ns), True


def _refuse_unsound(source: Path, held: Mapping[str, Kept], progress: Progress) -> None:
    faults = []
    for number, entry in enumerate(held.values()):
        path = source / entry.stored
        if not path.is_file():
            faults.append(f"{entry.stored} is missing")
        elif path.stat().st_size != entry.n_bytes or copying.digest(path) != entry.sha256:
            faults.append(f"{entry.stored} is not the file that was backed up")
        progress("checking the backup", number + 1, len(held))
    if faults:
        raise errors.LakeError(
            f"the backup {source} is damaged in {len(faults)} files: {'; '.join(faults[:10])}. Nothing was touched; "
            "use another backup."
        )


def _target(place: Place, path: str) -> Path:
    area, below = path.split("/", 1)
    if area != DATA and area not in place.folders:
        raise errors.ConfigError(f"the backup holds {path}, and there is no place for {area}. Install a newer Daybook.")
    root = Path(place.location.data_address) if area == DATA else place.folders[area]
    target = (root / below).resolve()
    if not target.is_relative_to(root.resolve()):
        raise errors.LakeError(f"the backup holds {path}, which leads outside {root}. Nothing more was restored.")
    return target


def _put_back(source: Path, target: Path, entry: Kept) -> bool:
    """Whether a file had to be written: one that is there with the right bytes is left alone."""
    if copying.has_length(target, entry.n_bytes) and copying.digest(target) == entry.sha256:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    copying.copy(source, partial)
    os.replace(partial, target)
    return True


def _swap_catalog(location: lake.LakeLocation, source: Path) -> None:
    """Put a catalog in the place of the one that is there, in one move."""
    target = _catalog_path(location)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(target.name + ".partial")
    fresh.unlink(missing_ok=True)
    copying.copy(source, fresh)
    with contextlib.closing(sqlite3.connect(fresh)) as opened:
        with opened:
            # The copy may be restored to another home than it came from.
            opened.execute(
                "update ducklake_metadata set value = ? where key = 'data_path'",
                (location.data_address.rstrip("/") + "/",),
            )
        # Readers cannot change the mode, and refuse a catalog of another one until a writer has come.
        opened.execute("pragma journal_mode = wal")
    if target.exists():
        _settle(target)
        replaced = target.with_name(target.name + ".replaced")
        replaced.unlink(missing_ok=True)
        os.link(target, replaced)
    # A log that belongs to the old catalog would be played into the new one.
    for ending in ("-wal", "-shm"):
        target.with_name(target.name + ending).unlink(missing_ok=True)
    os.replace(fresh, target)


def _settle(catalog: Path) -> None:
    """Bring an old catalog's log home, so that it is whole without it; one too broken for that is left as it is."""
    try:
        with contextlib.closing(sqlite3.connect(catalog, timeout=5)) as opened:
            is_busy = opened.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
    except sqlite3.DatabaseError as exc:
        is_busy = "locked" in str(exc)
    if is_busy:
        raise errors.LakeBusy(f"somebody is reading {catalog}. Close what reads the lake, then restore again.")


def _read_manifest(folder: Path) -> Manifest:
    try:
        held = json.loads((folder / MANIFEST).read_text())
        manifest = Manifest(held["made_at"], held["snapshot"], {one["path"]: Kept(**one) for one in held["files"]})
        is_known = held["format"] == FORMAT and held["schema_version"] <= tables.SCHEMA_VERSION
    except FileNotFoundError as exc:
        raise errors.ConfigError(f"there is no backup in {folder}: {MANIFEST} is missing. Check the folder.") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise errors.LakeError(f"{folder / MANIFEST} cannot be read ({exc}). Use another backup.") from exc
    if not is_known:
        raise errors.LakeTooNew(f"the backup in {folder} was made by a newer Daybook. Install that one first.")
    return manifest


def _remove_unnamed(folder: Path, named: set[str]) -> None:
    """What only older manifests spoke of goes; a folder that holds something else keeps it."""
    for path in folder.rglob("*"):
        below = path.relative_to(folder).as_posix()
        area = below.split("/", 1)[0]
        is_ours = area in (DATA, "archive", "models", "reports") or area.startswith("catalog")
        if path.is_file() and is_ours and below not in named:
            path.unlink()


@contextlib.contextmanager
def _foreseen(what: str) -> Iterator[None]:
    """Failures of the disk as one line."""
    try:
        yield
    except OSError as exc:
        raise errors.ConfigError(f"{what}: {exc.strerror or exc}. Free some space, or mend its rights.") from exc
    except sqlite3.Error as exc:
        raise errors.LakeError(f"{what}: the catalog cannot be read ({exc}). See `daybook verify`.") from exc
