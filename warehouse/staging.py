"""How does a file or folder appear whole or not at all?

It is made in a folder beside its place, `.NAME.partial`, and takes its name by renaming when it is done. Invariants: a
failure leaves what was there; what another made is not overwritten unasked; two at once do not mix; what a killed
process left behind is cleared by the next. Partner: `warehouse/export.py`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock

from warehouse import errors
from warehouse.lake import LakeLocation


@dataclass(frozen=True, slots=True)
class Target:
    """A place to be taken.

    Args:
        path: the file or folder.
        is_ours: whether what stands there was made by us and may be replaced.
        force: replace it even if not.
    """

    path: Path
    is_ours: Callable[[Path], bool]
    force: bool


@contextlib.contextmanager
def staged(target: Target, location: LakeLocation) -> Iterator[Path]:
    """A path of the target's name to fill; it takes the target's place when the block ends well.

    Args:
        target: the place.
        location: the lake, which must not be overwritten.

    Raises:
        ConfigError: the place is taken, is the lake's, cannot be written, or somebody else fills it now.
    """
    path = Path(os.path.abspath(target.path))
    _refuse_the_lakes_own(path, location)
    if path.exists() and not target.force and not target.is_ours(path):
        raise errors.ConfigError(
            f"{target.path} holds what no export made. Nothing was written; choose another place, or overwrite it "
            "with --force."
        )
    beside = path.parent / f".{path.name}.partial"
    with contextlib.ExitStack() as stack:
        try:
            beside.mkdir(exist_ok=True)
            stack.callback(shutil.rmtree, beside, ignore_errors=True)
            _take(stack, beside)
            (beside / "new").mkdir()
            fresh = beside / "new" / path.name
        except OSError as exc:
            raise errors.ConfigError(
                f"nothing can be written beside {target.path}: {exc.strerror}. Make its folder, or choose another."
            ) from exc
        yield fresh
        try:
            _put_in_place(fresh, path, beside)
        except OSError as exc:
            raise errors.ConfigError(
                f"{target.path} cannot be replaced: {exc.strerror}. What was there is there still."
            ) from exc


def _take(stack: contextlib.ExitStack, beside: Path) -> None:
    """Hold the folder and clear it of what a killed process left."""
    lock = filelock.FileLock(beside / "lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as exc:
        # The other one clears the folder when it is done.
        stack.pop_all()
        raise errors.ConfigError(
            f"another process is filling {beside} right now. Nothing was written; run again when it has ended."
        ) from exc
    stack.callback(lock.release)
    for left in beside.iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        elif left.name != "lock":
            left.unlink()


def _put_in_place(fresh: Path, path: Path, beside: Path) -> None:
    if not path.is_dir() or path.is_symlink():
        os.replace(fresh, path)
        return
    # No rename replaces a folder that holds something: the old one steps aside, and back if the new one cannot come.
    before = beside / "before"
    os.replace(path, before)
    try:
        os.replace(fresh, path)
    except OSError:
        os.replace(before, path)
        raise


def _refuse_the_lakes_own(path: Path, location: LakeLocation) -> None:
    there = path.resolve()
    folders = [location.path.resolve()]
    if "://" not in location.data_address:
        folders.append(Path(location.data_address).resolve())
    # The catalog may lie among other things, so that only it and what is around it are the lake's.
    held = [*folders, Path.cwd(), *([location.catalog_file.resolve()] if location.catalog_file else [])]
    if any(there == own or there in own.parents for own in held) or any(own in there.parents for own in folders):
        raise errors.ConfigError(
            f"{path} is the lake's folder, in it, or around it or this one. Nothing was written; choose another place."
        )
