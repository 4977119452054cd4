"""How many calls a vendor allows: for the account, for single endpoints, told by settings or learned."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from warehouse import errors
from warehouse.sources import limits


def seconds_for(limit, endpoint, n_calls):
    started = time.monotonic()
    for _ in range(n_calls):
        limit.wait(endpoint)
    return time.monotonic() - started


def test_endpoint_with_a_limit_of_its_own_waits_and_the_others_do_not():
    limit = limits.Limits(1000, 1.0, {"stock_basic": (2, 0.3), "suspend_d": (1, 3600.0)})

    assert seconds_for(limit, "stock_basic", 3) >= 0.3
    limit.wait("suspend_d")
    # A shared hour-long wait would hang here.
    assert seconds_for(limit, "daily", 3) >= 0.0


def test_account_holds_back_endpoints_that_are_within_their_own_limit():
    limit = limits.Limits(2, 0.3, {"daily": (1000, 1.0), "adj_factor": (1000, 1.0)})

    limit.wait("daily")
    limit.wait("adj_factor")

    assert seconds_for(limit, "daily", 1) > 0.1


def test_limit_learned_is_kept_and_is_news_once():
    limit = limits.Limits(1000, 1.0, {})

    assert limit.learn("daily", 2, 0.3)
    assert not limit.learn("daily", 2, 0.3)
    assert seconds_for(limit, "daily", 3) >= 0.3


def test_pause_of_an_endpoint_with_a_limit_of_its_own_stops_nobody_else():
    limit = limits.Limits(1000, 3600.0, {"stock_basic": (1000, 3600.0)})

    limit.pause("stock_basic", 3600.0)

    # A shared hour-long pause would hang here.
    assert seconds_for(limit, "daily", 3) >= 0.0


def test_pause_stops_everybody_when_the_endpoint_has_no_limit_of_its_own():
    limit = limits.Limits(1000, 1.0, {})

    limit.pause("daily", 0.3)

    assert seconds_for(limit, "adj_factor", 1) > 0.1


def test_wait_beyond_patience_is_an_error_and_no_sleep_of_an_hour():
    limit = limits.Limits(1000, 1.0, {"stock_basic": (1, 3600.0)})
    limit.wait("stock_basic", 70.0)

    with pytest.raises(errors.RateLimited, match=r"1 calls in 3600 s are allowed .* Run again later") as caught:
        limit.wait("stock_basic", 70.0)
    assert caught.value.retry_after_s == pytest.approx(3600.0, abs=60.0)


def seconds_between(started, n_calls):
    """Shortest time in which one call more than `n_calls` started."""
    started = sorted(started)
    return min(late - early for early, late in zip(started, started[n_calls:], strict=False))


def test_no_more_calls_start_in_any_window_over_all_threads():
    limit = limits.Limits(3, 0.2, {})
    started = []

    def work():
        for _ in range(3):
            limit.wait("daily")
            started.append(time.monotonic())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # Each call and the third after it are at least one window apart; a clock reads a little late, never early.
    assert seconds_between(started, 3) >= 0.2 - 0.02


CALLING = """
import sys, time
from pathlib import Path
from warehouse.sources import limits
limit = limits.Limits(3, 0.5, {}, Path(sys.argv[1]))
for _ in range(4):
    limit.wait("fredgraph.csv")
    print(time.monotonic(), flush=True)
"""


def test_no_more_calls_start_in_any_window_over_all_processes_that_name_the_file(tmp_path):
    file = tmp_path / "new" / "fred.sqlite"

    processes = [
        subprocess.Popen([sys.executable, "-c", CALLING, str(file)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=60)[0] for process in processes]

    # As the file has them: a process that is kept waiting by the machine says its time late.
    with contextlib.closing(sqlite3.connect(file)) as kept:
        started = [at for (at,) in kept.execute("select at from started")]
    # Each of the two alone would have started six in a second.
    assert [text.count("\n") for text in told] == [4, 4] and len(started) == 8
    assert seconds_between(started, 3) >= 0.5


def test_what_one_run_learned_and_was_asked_to_wait_holds_for_the_next(tmp_path):
    file = tmp_path / "tushare.sqlite"
    first = limits.Limits(1000, 1.0, {}, file)
    assert first.learn("stock_basic", 1, 3600.0)
    first.wait("stock_basic")
    first.pause("daily", 0.3)

    second = limits.Limits(1000, 1.0, {}, file)

    assert not second.learn("stock_basic", 1, 3600.0)
    with pytest.raises(errors.RateLimited, match="1 calls in 3600 s"):
        second.wait("stock_basic", 70.0)
    assert seconds_for(second, "adj_factor", 1) > 0.1


def test_limit_that_was_told_long_ago_is_believed_no_more(tmp_path, monkeypatch):
    limit = limits.Limits(1000, 1.0, {}, tmp_path / "tushare.sqlite")
    limit.learn("stock_basic", 1, 7 * limits.BELIEVED_S)
    limit.wait("stock_basic")
    with pytest.raises(errors.RateLimited, match="the vendor told so"):
        limit.wait("stock_basic", 0.0)
    now = time.monotonic()

    monkeypatch.setattr(limits.time, "monotonic", lambda: now + limits.BELIEVED_S + 1)

    limit.wait("stock_basic", 0.0)


def test_calls_and_pauses_of_before_the_machine_was_started_again_hold_nobody_back(tmp_path, monkeypatch):
    limit = limits.Limits(1, 3600.0, {}, tmp_path / "tushare.sqlite")
    before = time.monotonic()
    limit.learn("daily", 1, 3600.0)
    limit.wait("daily")
    limit.pause("daily", 3600.0)

    # The clock began anew with the machine.
    monkeypatch.setattr(limits.time, "monotonic", lambda: 1.0)
    limit.wait("daily", 0.0)

    # And has come again to where it was: nothing of then is believed anew.
    monkeypatch.setattr(limits.time, "monotonic", lambda: before + 3602.0)
    limit.wait("daily", 0.0)
    assert limit.learn("daily", 1, 3600.0)


def test_longer_of_two_pauses_counts():
    limit = limits.Limits(100, 1.0, {})

    limit.pause("daily", 0.2)
    limit.pause("daily", 0.01)

    assert seconds_for(limit, "daily", 1) >= 0.19


def test_window_stays_when_the_pause_is_shorter():
    limit = limits.Limits(2, 0.3, {})
    begun = time.monotonic()

    limit.wait("daily")
    limit.wait("daily")
    limit.pause("daily", 0.01)
    limit.wait("daily")

    assert time.monotonic() - begun >= 0.3


def test_file_that_is_none_of_ours_is_named(tmp_path):
    file = tmp_path / "fred.sqlite"
    file.write_text("not a database, and longer than the header of one would be " * 20)

    with pytest.raises(errors.ConfigError, match=r"limits cannot be kept in .*fred\.sqlite"):
        limits.Limits(2, 1.0, {}, file).wait("fredgraph.csv")


def test_both_hold_when_the_setting_is_gentler_than_the_vendor(tmp_path):
    limit = limits.Limits(1000, 1.0, {"daily": (1, 3600.0)}, tmp_path / "tushare.sqlite")
    limit.learn("daily", 500, 60.0)
    limit.wait("daily")

    with pytest.raises(errors.RateLimited, match="raise the limit in the settings"):
        limit.wait("daily", 0.0)


def test_limit_set_anew_puts_aside_what_the_vendor_told_before(tmp_path):
    """The account was raised, and its owner says so."""
    file = tmp_path / "tushare.sqlite"
    before = limits.Limits(1000, 1.0, {}, file)
    before.learn("stock_basic", 1, 3600.0)
    before.wait("stock_basic")

    limits.Limits(1000, 1.0, {"stock_basic": (500, 60.0)}, file).wait("stock_basic", 0.0)


def test_run_with_a_shorter_window_forgets_no_call_that_a_longer_one_counts(tmp_path):
    file = tmp_path / "tushare.sqlite"
    patient, hasty = limits.Limits(2, 60.0, {}, file), limits.Limits(1000, 0.01, {}, file)
    patient.wait("daily")
    patient.wait("daily")
    time.sleep(0.02)

    hasty.wait("daily")

    with pytest.raises(errors.RateLimited):
        patient.wait("daily", 0.0)


def test_commit_that_another_reader_holds_up_leaves_nobody_shut_out(tmp_path, monkeypatch):
    file = tmp_path / "tushare.sqlite"
    monkeypatch.setattr(limits, "LOCK_S", 0.05)
    limit = limits.Limits(1000, 1.0, {}, file)
    limit.wait("daily")

    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select * from started").fetchall()
        with pytest.raises(errors.ConfigError, match="locked"):
            limit.wait("daily")
        reader.execute("rollback")

    limit.wait("daily")
    limits.Limits(1000, 1.0, {}, file).wait("daily")


def test_another_account_is_counted_for_itself_and_its_secret_is_in_no_name(tmp_path):
    one, other = (limits.file_of(tmp_path, "tushare", "http://vendor", token) for token in ("secret-1", "secret-2"))

    assert one != other and one == limits.file_of(tmp_path, "tushare", "http://vendor", "secret-1")
    assert "secret" not in str(one)
