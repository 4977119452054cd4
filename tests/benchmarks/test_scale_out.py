"""A rebuild of returns and features by one program with two threads, and by two Dask workers with one thread each.

Both begin with the same lake and end with the same rows, to the bit. Starting the workers, their imports and compiled
kernels among it, is part of their time.
"""

from __future__ import annotations

import shutil

import pytest

from warehouse import lake

pytestmark = pytest.mark.benchmark

N_ROUNDS = 3
SHOWN = ("seconds", "returns_s", "features_s", "cpu_s", "peak_gb")


@pytest.mark.parametrize(("n_codes", "n_sessions"), [(300, 1250), (5000, 1250)], ids=["300", "5000"])
def test_rebuild_by_two_workers(history, tmp_path, in_a_process, report, n_codes, n_sessions):
    given = tmp_path / "given"
    history(n_codes, n_sessions).fill(lake.LakeLocation(given / "lake"), n_sessions, basics=True)
    found = {"plain": [], "local": []}

    for _ in range(N_ROUNDS):
        for scheduler, rounds in found.items():
            home = tmp_path / scheduler
            shutil.copytree(given, home)
            rounds.append(in_a_process("daybook_rebuild.py", home, "2GB", scheduler))
            shutil.rmtree(home)

    assert len({each["digest"] for rounds in found.values() for each in rounds}) == 1
    plain, shared = (min(rounds, key=lambda each: each["seconds"]) for rounds in found.values())
    report(
        codes=n_codes,
        sessions=n_sessions,
        rows=plain["rows"],
        **{f"plain_{name}": round(plain[name], 2) for name in SHOWN},
        **{f"dask_{name}": round(shared[name], 2) for name in SHOWN},
        dask_over_plain=round(shared["seconds"] / plain["seconds"], 2),
    )
