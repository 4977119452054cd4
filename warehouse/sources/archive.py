"""Every answer a vendor ever gave, compressed on disk, and its row for `vendor.reply`.

Invariant: a body is written before anybody judges it, under a name that does not depend on the judgement. Partner:
`warehouse/load.py`, which stores the rows beside the facts they led to.
"""

from __future__ import annotations

import gzip
import json
import os
import threading
from pathlib import Path

import pyarrow as pa

from warehouse import errors
from warehouse.sources import http
from warehouse.tables import vendor

COMPRESSION_LEVEL = 3


class Archive:
    """A folder of answers; safe to share between threads.

    Args:
        path: the folder; made when missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._kept: dict[str, http.Reply] = {}

    def keep(self, reply: http.Reply) -> None:
        """Write an answer's body, and remember its row until the next `drain`.

        Raises:
            ConfigError: the folder cannot be written.
        """
        relative = f"{reply.vendor}/{reply.endpoint}/{reply.retrieved_at:%Y-%m-%d}/{reply.reply_id}.gz"
        target = self._path / relative
        # mtime 0, so that the same body gives the same file.
        packed = gzip.compress(reply.body, compresslevel=COMPRESSION_LEVEL, mtime=0)
        partial = target.with_suffix(f".{threading.get_ident()}.partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(packed)
            os.replace(partial, target)
        except OSError as exc:
            raise errors.ConfigError(
                f"the archive {self._path} cannot be written: {exc.strerror}. Free some space, or mend its rights."
            ) from exc
        with self._lock:
            self._kept[relative] = reply

    def drain(self, load_id: str) -> pa.Table:
        """Rows of vendor.reply for the answers kept since the last time, which are then forgotten.

        Args:
            load_id: the load they belong to.
        """
        with self._lock:
            kept, self._kept = self._kept, {}
        rows = [
            {
                "reply_id": reply.reply_id,
                "vendor": reply.vendor,
                "endpoint": reply.endpoint,
                "params": json.dumps(dict(reply.params), sort_keys=True, ensure_ascii=False),
                "status": reply.status,
                "n_bytes": len(reply.body),
                "sha256": reply.sha256,
                "archive_path": relative,
                "retrieved_at": reply.retrieved_at,
                "load_id": load_id,
            }
            for relative, reply in kept.items()
        ]
        schema = pa.schema([field.with_nullable(True) for field in vendor.REPLY.arrow_schema])
        return pa.Table.from_pylist(rows, schema=schema)
