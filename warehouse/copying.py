"""Files copied so that what is named is whole: digests, pieces, and writing that replaces in one move.

Partner: `warehouse/backup.py`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

PIECE_BYTES = 1 << 20


def has_length(path: Path, n_bytes: int) -> bool:
    """Whether a file is there and has that length."""
    return path.is_file() and path.stat().st_size == n_bytes


def copy(source: Path, target: Path) -> str:
    """The SHA-256 of a file, copied to `target` and on the disk.

    Raises:
        OSError: one of them cannot be read or written.
    """
    found = hashlib.sha256()
    with source.open("rb") as read, target.open("wb") as written:
        while piece := read.read(PIECE_BYTES):
            found.update(piece)
            written.write(piece)
        written.flush()
        os.fsync(written.fileno())
    shutil.copystat(source, target)
    return found.hexdigest()


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Put a file in the place of another in one move; a cut leaves the other as it was.

    Raises:
        OSError: it cannot be written.
    """
    partial = path.with_suffix(".partial")
    with partial.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    os.replace(partial, path)
