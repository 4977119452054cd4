"""Runs commands of the documents one after the other in one process, in a tree that has the worked examples too.

`python guide_runner.py JOBS RESULTS`: the jobs as JSON, what came of each as JSON. Imports take seconds, and a process
a command would pay them each time. Partner: `tests/test_guides.py`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import time
import traceback
from pathlib import Path

import pytest

from flows import cli, demo, serving, settings
from warehouse import lake


def run_command(words: list[str]) -> int:
    """The exit status of a `daybook` command."""
    # As a shell does it.
    sys.argv = ["daybook", *(os.path.expanduser(word) for word in words)]
    try:
        cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def run_job(job: dict[str, str], places: dict[str, str]) -> int:
    """The exit status of a job, after its words are those of this desk."""
    for written, meant in places.items():
        job = json.loads(json.dumps(job).replace(written, meant))
    os.chdir(job["folder"])
    if job["kind"] == "python":
        exec(compile(job["text"], job["name"], "exec"), {"__name__": "guide"})
        return 0
    if job["kind"] == "pytest":
        return int(pytest.main(["-q", "-p", "no:cacheprovider", "--assert=plain", *job["words"]]))
    if job["kind"] == "older":
        make_older(job["text"])
        return 0
    return run_command(job["words"])


def make_older(column: str) -> None:
    """Take from the lake what an older Daybook had not: a feature, and the word that it has this version."""
    with lake.open_writer(settings.read_settings().lake, holder="test") as opened:
        opened.commit(
            lambda connection: (
                connection.execute(f"alter table feature.feature drop column {column}"),
                connection.execute("update ops.property set value = value::int - 1 where name = 'schema_version'"),
            ),
            message="as it was",
        )


def places_of(home: Path) -> dict[str, str]:
    """What stands in the documents for something of a reader's own, and what it is on this desk."""
    with lake.open_reader(settings.read_settings(home=home).lake) as opened:
        fingerprint = opened.read_value("select min(fingerprint) from ops.alert where state = 'open'")
        version = opened.read_value("select min(model_version) from model.version_role where role = 'challenger'")
        code = opened.read_value("select max(ts_code) from market.daily where trade_date = date '2026-11-20'")
        session = opened.read_value(
            "select max(cal_date) from market.trade_cal where is_open and cal_date < '2026-11-20'"
        )
        held = opened.read_value("select min(row_id) from analyst.quarantine where state = 'pending'")
    # The demo's vendors know no session of before 2025.
    return {
        "1f6b2c": fingerprint[:6],
        "ridge/2026-11-20": version,
        "600000.SH": code,
        "2023-01-03": str(session),
        "4f2a91": held or "none",
    }


def main() -> None:
    """Run every job and write what came of it."""
    jobs = json.loads(Path(sys.argv[1]).read_text())
    results, target = [], Path(sys.argv[2]).resolve()
    with contextlib.ExitStack() as stack:
        places: dict[str, str] = {}
        for job in jobs:
            said, started = io.StringIO(), time.process_time()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                try:
                    status = run_job(job, places)
                except Exception:
                    status = -1
                    traceback.print_exc()
            if job["kind"] == "demo":
                home = settings.read_settings()
                variables = stack.enter_context(demo.simulated_home(home))
                stack.enter_context(serving.variables_set(variables))
                places = places_of(home.root / "demo")
            if job.get("to"):
                Path(job["folder"], job["to"]).write_text(said.getvalue())
            results.append({"status": status, "said": said.getvalue(), "cpu_s": time.process_time() - started})
            target.write_text(json.dumps(results))
    print(re.sub(r"\s+", " ", f"{len(results)} jobs"))


if __name__ == "__main__":
    main()
