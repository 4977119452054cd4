"""A lake that was destroyed comes back from its backup, every table equal, and a bad backup touches nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from warehouse import backup, data_files, errors, lake, load, maintenance, returns, verify
from warehouse.sources import archive, http

pytestmark = pytest.mark.exhaustive

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def no_progress(what: str, done: int, total: int) -> None:
    """Nobody looks."""


@pytest.fixture
def place(tmp_path: Path) -> backup.Place:
    """A home with nothing in it yet."""
    return place_at(tmp_path / "home")


def place_at(home: Path) -> backup.Place:
    folders = {name: home / name for name in ("archive", "models", "reports")}
    return backup.Place(lake.LakeLocation(home / "lake", memory_limit="1GB", threads=1), folders)


@pytest.fixture
def kept(
    place: backup.Place,
    random_market: Callable[..., Any],
    load_market: Callable[..., None],
    stamp: Callable[[int], load.Stamp],
) -> backup.Place:
    """A home with a lake, an archived answer, a model and a report."""
    answers = archive.Archive(place.folders["archive"])
    answers.keep(http.Reply("tushare", "daily", {}, 200, b"a body", {}, NOW))
    with lake.open_writer(place.location, holder="test") as opened:
        load_market(opened, random_market(n_codes=30, n_sessions=6))
        returns.update_returns(opened, stamp(1))
        replies = answers.drain("load-1")
        opened.commit(
            lambda c: (c.register("r", replies), c.execute("insert into vendor.reply from r")), message="replies"
        )
    for name, content in (("models/pca/card.json", "{}"), ("reports/index.html", "<html>")):
        path = place.location.path.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return place


def make(of: backup.Place, to: Path) -> dict[str, int]:
    return backup.back_up(of, to, NOW, wait_s=1, progress=no_progress)


def put_back(to: backup.Place, source: Path, *, force: bool = False) -> dict[str, int]:
    return backup.restore(to, source, force=force, wait_s=1, progress=no_progress)


def everything(of: backup.Place) -> dict[str, Any]:
    with lake.open_reader(of.location) as opened:
        return {
            table.full_name: opened.read(f"select * from {table.full_name} order by all")
            for table in data_files.read_tables(opened)
        }


def refuse_damage(of: backup.Place) -> None:
    with lake.open_reader(of.location) as opened:
        verify.refuse_broken(verify.verify(opened, of.folders["archive"], lambda check: None))


def change(of: backup.Place) -> None:
    with lake.open_writer(of.location, holder="later") as opened:
        rows = "select 's' || i, date '2024-01-01', date '2024-02-01', date '2024-02-01' from range(30) as t(i)"
        opened.commit(lambda c: c.execute(f"insert into macro.release {rows}"), message="later")


def delete_catalog(of: backup.Place) -> None:
    for path in of.location.path.glob("catalog.sqlite*"):
        path.unlink()


def delete_data(of: backup.Place) -> None:
    shutil.rmtree(of.location.path / "data")


def corrupt_bytes(of: backup.Place) -> None:
    for path in [*(of.location.path / "data").rglob("*.parquet"), *of.folders["archive"].rglob("*.gz")]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)


def corrupt_catalog(of: backup.Place) -> None:
    (of.location.path / "catalog.sqlite").write_bytes(b"not a database at all" * 100)


def delete_home(of: backup.Place) -> None:
    shutil.rmtree(of.location.path.parent)


@pytest.mark.parametrize("destroy", [delete_catalog, delete_data, corrupt_bytes, corrupt_catalog, delete_home])
def test_destroyed_lake_comes_back_equal_in_every_table(
    kept: backup.Place, tmp_path: Path, destroy: Callable[[backup.Place], None]
) -> None:
    before = everything(kept)
    make(kept, tmp_path / "backup")
    destroy(kept)
    with pytest.raises((errors.DaybookError, FileNotFoundError)):
        refuse_damage(kept)

    put_back(kept, tmp_path / "backup", force=kept.location.exists)

    assert everything(kept) == before
    refuse_damage(kept)
    assert (kept.folders["models"] / "pca/card.json").read_text() == "{}"
    assert (kept.folders["reports"] / "index.html").read_text() == "<html>"
    change(kept)


def test_backup_again_copies_only_what_is_new(kept: backup.Place, tmp_path: Path) -> None:
    first = make(kept, tmp_path / "backup")
    second = make(kept, tmp_path / "backup")
    change(kept)
    third = make(kept, tmp_path / "backup")

    assert first["files_copied"] == first["files"] - 1, "the catalog is not counted"
    assert second["files_copied"] == 0
    assert third["files_copied"] == 1 and third["snapshot"] > first["snapshot"]
    assert len(list((tmp_path / "backup").glob("catalog-*.sqlite"))) == 1


def test_backup_holds_the_lake_of_its_moment_while_it_goes_on(kept: backup.Place, tmp_path: Path) -> None:
    before = everything(kept)
    made = make(kept, tmp_path / "backup")
    change(kept)
    with lake.open_writer(kept.location, holder="test") as opened:
        none = timedelta(0)
        for days in (1, 3):
            maintenance.maintain(opened, datetime.now(UTC) + timedelta(days=days), maintenance.Policy(none, none, none))

    put_back(kept, tmp_path / "backup", force=True)

    with lake.open_reader(kept.location) as opened:
        assert opened.snapshot == made["snapshot"]
    assert everything(kept) == before
    refuse_damage(kept)


def test_backup_restores_into_another_home(kept: backup.Place, tmp_path: Path) -> None:
    make(kept, tmp_path / "backup")
    other = place_at(tmp_path / "elsewhere")
    before = everything(kept)
    delete_home(kept)

    put_back(other, tmp_path / "backup")

    assert everything(other) == before
    change(other)
    refuse_damage(other)


def test_model_that_changed_leaves_the_backup_before_whole_until_the_new_one_is(
    kept: backup.Place, tmp_path: Path
) -> None:
    make(kept, tmp_path / "backup")
    old = (tmp_path / "backup" / backup.MANIFEST).read_bytes()
    card = kept.folders["models"] / "pca/card.json"
    card.write_text('{"refitted": true}')
    kept_files = {path: path.read_bytes() for path in (tmp_path / "backup").rglob("*") if path.is_file()}
    make(kept, tmp_path / "backup")

    stored = {entry["path"]: entry["stored"] for entry in json.loads(old)["files"]}["models/pca/card.json"]
    new = json.loads((tmp_path / "backup" / backup.MANIFEST).read_text())["files"]

    assert kept_files[tmp_path / "backup" / stored] == b"{}"
    assert {one["path"]: one["stored"] for one in new}["models/pca/card.json"] != stored
    put_back(kept, tmp_path / "backup", force=True)
    assert card.read_text() == '{"refitted": true}'


def test_damaged_backup_touches_nothing(kept: backup.Place, tmp_path: Path) -> None:
    make(kept, tmp_path / "backup")
    victim = next((tmp_path / "backup" / "data").rglob("*.parquet"))
    content = bytearray(victim.read_bytes())
    content[10] ^= 0xFF
    victim.write_bytes(content)
    (kept.location.path / "catalog.sqlite").unlink()
    before = sorted(kept.location.path.rglob("*"))

    with pytest.raises(errors.LakeError, match=r"damaged in 1 files: data/.* is not the file that was backed up"):
        put_back(kept, tmp_path / "backup")

    assert sorted(kept.location.path.rglob("*")) == before


@pytest.mark.parametrize("where", [".", "lake", "lake/data", "archive", "archive/backup", "..", "reports"])
def test_backup_into_what_it_backs_up_is_refused_and_loses_nothing(kept: backup.Place, where: str) -> None:
    """It would keep a second copy beside each file, and then remove those that its manifest does not name."""
    home = kept.location.path.parent
    before = {path: path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}

    with pytest.raises(errors.ConfigError, match="Nothing was touched"):
        make(kept, (home / where).resolve())
    assert {path: path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()} == before


def test_folder_with_files_of_somebody_else_is_refused_and_left_alone(kept: backup.Place, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "thesis.txt").write_text("three years")

    with pytest.raises(errors.ConfigError, match="holds what no backup made"):
        make(kept, folder)
    assert (folder / "data" / "thesis.txt").read_text() == "three years"


def test_backup_that_was_cut_short_at_its_first_try_goes_on(kept: backup.Place, tmp_path: Path) -> None:
    make(kept, tmp_path / "backup")
    (tmp_path / "backup" / backup.MANIFEST).unlink()

    assert make(kept, tmp_path / "backup")["files"] > 0


def test_living_lake_is_not_replaced_without_force(kept: backup.Place, tmp_path: Path) -> None:
    make(kept, tmp_path / "backup")
    change(kept)
    before = everything(kept)

    with pytest.raises(errors.ConfigError, match="Nothing was touched; give --force"):
        put_back(kept, tmp_path / "backup")

    assert everything(kept) == before


@pytest.mark.parametrize("work", [make, lambda of, folder: put_back(of, folder, force=True)])
def test_nothing_is_done_over_a_writers_lock(
    kept: backup.Place, tmp_path: Path, work: Callable[[backup.Place, Path], object]
) -> None:
    make(kept, tmp_path / "backup")

    with (
        lake.open_writer(kept.location, holder="the evening"),
        pytest.raises(errors.LakeBusy, match="is being written by the evening"),
    ):
        work(kept, tmp_path / "backup")


def test_catalog_and_data_on_servers_are_refused_with_what_to_use(tmp_path: Path) -> None:
    postgres = backup.Place(lake.LakeLocation(tmp_path, catalog="postgres:dbname=lake"), {})
    s3 = backup.Place(lake.LakeLocation(tmp_path, data_path="s3://bucket/lake/"), {})

    with pytest.raises(errors.ConfigError, match="Use pg_dump and pg_restore"):
        make(postgres, tmp_path / "backup")
    with pytest.raises(errors.ConfigError, match="the store's own versioning"):
        make(s3, tmp_path / "backup")


def test_folder_without_a_backup_is_a_setting_error(place: backup.Place, tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match=r"manifest\.json is missing"):
        put_back(place, tmp_path)


def test_path_that_leads_outside_is_refused(kept: backup.Place, tmp_path: Path) -> None:
    make(kept, tmp_path / "backup")
    manifest = json.loads((tmp_path / "backup" / backup.MANIFEST).read_text())
    manifest["files"][-1]["path"] = "reports/../../../outside.html"
    (tmp_path / "backup" / backup.MANIFEST).write_text(json.dumps(manifest))

    with pytest.raises(errors.LakeError, match="leads outside"):
        put_back(kept, tmp_path / "backup", force=True)

    assert not list(tmp_path.rglob("outside.html"))


KILLED = textwrap.dedent(
    """
    import os, pathlib, signal, sys, threading
    from warehouse import backup, lake
    home, source, stop_at = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
    folders = {name: home / name for name in ("archive", "models", "reports")}
    place = backup.Place(lake.LakeLocation(home / "lake", memory_limit="1GB", threads=1), folders)
    moves = 0
    replace = os.replace
    def counted(old, new):
        global moves
        moves += 1
        if moves == stop_at:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(old, new)
    os.replace = counted
    backup.restore(place, source, force=True, wait_s=1, progress=lambda *a: None)
    """
)


def test_killed_restore_leaves_the_old_lake_or_the_new_one_and_can_be_run_again(
    kept: backup.Place, tmp_path: Path
) -> None:
    before = everything(kept)
    make(kept, tmp_path / "backup")
    change(kept)
    later = everything(kept)
    lost = next((kept.location.path / "data" / "market").rglob("*.parquet"))
    n_moves = 3

    for stop_at in range(1, n_moves + 1):
        lost.unlink(missing_ok=True)
        (kept.folders["reports"] / "index.html").unlink(missing_ok=True)
        command = [sys.executable, "-c", KILLED, str(kept.location.path.parent), str(tmp_path / "backup"), str(stop_at)]
        done = subprocess.run(command, cwd=ROOT, check=False, env=os.environ)
        assert done.returncode == -9
        # Moved are the lost file, the report, and last the catalog: until then the lake is the one from before.
        if stop_at > 1:
            assert everything(kept) == later
            refuse_damage(kept)

    put_back(kept, tmp_path / "backup", force=True)

    assert everything(kept) == before
    refuse_damage(kept)
