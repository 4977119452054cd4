"""Every answer stays on disk as it came, under a name of its own, with a row that finds it again."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from datetime import UTC, datetime

import pytest

from warehouse import errors
from warehouse.sources import archive, http

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def reply_of(body, status=200, **params):
    return http.Reply("tushare", "daily", params, status, body, {}, NOW)


def test_body_comes_back_as_it_was_by_the_path_and_digest_in_its_row(tmp_path):
    kept = archive.Archive(tmp_path)
    kept.keep(reply_of(b"\x00\xffnot text", status=500, trade_date="20261120"))

    row = kept.drain("load-1").to_pylist()[0]

    body = gzip.decompress((tmp_path / row["archive_path"]).read_bytes())
    assert body == b"\x00\xffnot text"
    assert row["sha256"] == hashlib.sha256(body).hexdigest() and row["n_bytes"] == len(body)
    assert (row["status"], row["load_id"], row["retrieved_at"]) == (500, "load-1", NOW)
    assert json.loads(row["params"]) == {"trade_date": "20261120"}


def test_rows_are_handed_over_once(tmp_path):
    kept = archive.Archive(tmp_path)
    kept.keep(reply_of(b"a"))

    assert kept.drain("load-1").num_rows == 1
    assert kept.drain("load-2").num_rows == 0


def test_same_answer_at_the_same_instant_is_one_row(tmp_path):
    """Two tries under a clock that stands still differ in nothing, and `reply_id` must stay unique."""
    kept = archive.Archive(tmp_path)
    kept.keep(reply_of(b"busy", status=500))
    kept.keep(reply_of(b"busy", status=500))

    assert kept.drain("load-1").num_rows == 1


def test_no_answer_is_lost_when_threads_keep_at_once(tmp_path):
    kept = archive.Archive(tmp_path)
    threads = [
        threading.Thread(target=lambda n=n: [kept.keep(reply_of(b"x", n=str(n), m=str(m))) for m in range(20)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    rows = kept.drain("load").to_pylist()
    assert len({row["reply_id"] for row in rows}) == 80
    assert all((tmp_path / row["archive_path"]).exists() for row in rows)
    assert not list(tmp_path.rglob("*.partial"))


def test_same_answer_gives_the_same_file(tmp_path):
    for name in ("one", "two"):
        archive.Archive(tmp_path / name).keep(reply_of(b"same"))

    files = [next((tmp_path / name).rglob("*.gz")) for name in ("one", "two")]
    assert files[0].name == files[1].name and files[0].read_bytes() == files[1].read_bytes()


def test_archive_that_cannot_be_written_is_a_setting_error(tmp_path):
    (tmp_path / "taken").write_text("")

    with pytest.raises(errors.ConfigError, match="taken"):
        archive.Archive(tmp_path / "taken").keep(reply_of(b"x"))
