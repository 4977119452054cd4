"""How many calls a vendor allows: for the account, for single endpoints, told by settings or learned."""

from __future__ import annotations

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
