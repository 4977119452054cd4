"""How long the index of a thousand reports takes to open, and how large it is.

The promise: under a second in Chromium, under a megabyte. One line of JSON is printed.
"""

from __future__ import annotations

import json
import shutil
import time
from datetime import date, timedelta

import pytest

from reports import site

pytestmark = pytest.mark.benchmark

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LABELS = ("CSI 300", "Mean return", "Up / down", "Traded", "Macro factor 1", "Bars received", "Open alerts")
N_DAYS, N_ROUNDS = 1000, 5


@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's Chromium")
def test_index_of_a_thousand_days_opens_in_a_second(empty_lake, tmp_path, report):
    for number in range(N_DAYS):
        day = date(2023, 1, 2) + timedelta(days=number)
        tiles = [
            {"label": name, "value": f"{number * 1.37:,.2f} %", "exact": str(number), "note": "", "tone": "up"}
            for name in LABELS
        ]
        facts = {"version": 2, "as_of": day.isoformat(), "status": {"tone": "good"}, "changes": [], "tiles": tiles}
        (tmp_path / f"{day}.json").write_text(json.dumps(facts))
        (tmp_path / f"{day}.html").write_text("")
    started = time.perf_counter()
    site.publish_day(empty_lake, tmp_path, as_of=date(2026, 11, 20), run_id="daily/2026-11-20", code_version="0")
    publish_s = time.perf_counter() - started

    playwright = pytest.importorskip("playwright.sync_api")
    seconds = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(N_ROUNDS):
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            started = time.perf_counter()
            page.goto((tmp_path / "index.html").as_uri())
            assert page.locator("tbody tr").count() == N_DAYS + 1
            page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            seconds.append(time.perf_counter() - started)
            page.close()
        browser.close()

    size = (tmp_path / "index.html").stat().st_size
    report(days=N_DAYS, open_s=round(sorted(seconds)[N_ROUNDS // 2], 2), publish_s=round(publish_s, 2), bytes=size)
    assert size < 1_000_000 and sorted(seconds)[N_ROUNDS // 2] < 1.0
