"""How long the page of any of the last 250 days takes to build from the lake, and the whole site beside it.

The promise: under 5 s and under a megabyte a page, the same to the byte when built again. The lake is that of
`DAYBOOK_BENCH_HOME`, a home in which a demo ran, or else of a demo run here: on the folder of real data that
`DAYBOOK_BENCH_DATA` names, or on the synthetic market. One line of JSON is printed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reports import site, subject_pages
from warehouse import lake

pytestmark = pytest.mark.benchmark

N_DAYS, STEP = 250, 10


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with models fitted and two evenings run."""
    if given := os.environ.get("DAYBOOK_BENCH_HOME"):
        return Path(given)
    folder = tmp_path_factory.mktemp("bench")
    data = os.environ.get("DAYBOOK_BENCH_DATA")
    command = [sys.executable, "-m", "flows.cli", "--home", str(folder), "demo", "--no-prefect"]
    subprocess.run([*command, *(["--data", data] if data else ["--symbols", "300"])], check=True)
    return folder / "demo"


def timed(work):
    started, started_cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - started, time.process_time() - started_cpu


def test_page_of_any_day_builds_in_five_seconds_and_the_same_again(home, tmp_path, report):
    location = lake.LakeLocation(home / "lake")
    with lake.open_reader(location) as opened:
        newest = opened.read(
            "select as_of_date, snapshot from ops.run where flow = 'daily' and snapshot is not null"
            " order by as_of_date desc limit 1"
        ).to_pylist()[0]
        days = opened.read(
            f"select trade_date from analyst.market_day where trade_date <= $day order by 1 desc limit {N_DAYS}",
            day=newest["as_of_date"],
        )["trade_date"].to_pylist()
    seconds, cpu, sizes = [], [], []
    with lake.open_reader(location, snapshot=newest["snapshot"]) as pinned:
        for day in (days[0], *days[1::STEP], days[-1]):

            def build(folder, day=day):
                return site.publish_day(
                    pinned, folder, as_of=day, run_id=f"daily/{day}", code_version="0", with_index=False
                )

            page, wall_s, cpu_s = timed(lambda build=build: build(tmp_path / "once"))
            assert page.read_bytes() == build(tmp_path / "again").read_bytes()
            seconds.append(wall_s)
            cpu.append(cpu_s)
            sizes.append(page.stat().st_size)
        maker = subject_pages.Maker(newest["as_of_date"], f"daily/{newest['as_of_date']}", "0")
        n_beside, beside_s, beside_cpu_s = timed(
            lambda: subject_pages.publish(pinned, tmp_path / "once", maker, is_again=True)
        )
        subject_pages.publish(pinned, tmp_path / "again", maker, is_again=True)
    beside = [path for path in (tmp_path / "once").rglob("*/*.html")]
    assert all(
        path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "once")).read_bytes() for path in beside
    )

    report(
        days=len(seconds),
        median_s=round(sorted(seconds)[len(seconds) // 2], 2),
        newest_s=round(seconds[0], 2),
        longest_s=round(max(seconds), 2),
        newest_cpu_s=round(cpu[0], 2),
        longest_cpu_s=round(max(cpu), 2),
        largest_bytes=max(sizes),
        pages_beside=n_beside,
        beside_s=round(beside_s, 1),
        beside_cpu_s=round(beside_cpu_s, 1),
        largest_beside_bytes=max(path.stat().st_size for path in beside),
    )
    assert max(sizes) < 1_000_000
