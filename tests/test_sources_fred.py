"""FRED's answers become observations or an error that says why, whatever bytes come."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse import errors
from warehouse.sources import fred, http

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
QUICK = http.Policy(calls=1000, attempts=2, backoff_s=0.01, longest_wait_s=0.05)
GOOD = b"observation_date,UNRATE\n2025-09-01,4.4\n2025-10-01,\n2025-11-01,4.6\n"


@pytest.fixture
def kept():
    return []


@pytest.fixture
def source(scripted, kept):
    return fred.FredSource(base_url=scripted.url, now=lambda: NOW, keep=kept.append, policy=QUICK)


def reply_of(body):
    return http.Reply("fred", "fredgraph.csv", {"id": "UNRATE"}, 200, body, {}, NOW)


def pairs(rows):
    return list(zip(rows["observation_date"].to_pylist(), rows["value"].to_pylist(), strict=True))


EXPECTED = [(date(2025, 9, 1), 4.4), (date(2025, 10, 1), None), (date(2025, 11, 1), 4.6)]
SAME_FACTS = {
    "of today": GOOD,
    "of before 2025": GOOD.replace(b"observation_date", b"DATE").replace(b",\n", b",.\n"),
    "with a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "with Windows line ends": GOOD.replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("body", SAME_FACTS.values(), ids=SAME_FACTS)
def test_observations_are_read_from_every_format_fred_has_used(scripted, source, body):
    scripted.will_answer(body)

    rows = source.fetch_observations("UNRATE")

    assert pairs(rows) == EXPECTED
    assert rows["series_id"].to_pylist() == ["UNRATE"] * 3
    assert scripted.asked[0][0] == "/graph/fredgraph.csv?id=UNRATE"


def test_month_never_published_stays_a_row_without_a_value(scripted, source):
    """October 2025 has no unemployment rate; a dropped row would shift every year-on-year change after it."""
    scripted.will_answer(GOOD)

    rows = source.fetch_observations("UNRATE")

    assert (date(2025, 10, 1), None) in pairs(rows)


def test_negative_price_is_a_value_like_any_other(scripted, source):
    scripted.will_answer(b"observation_date,DCOILWTICO\n2020-04-20,-36.98\n")

    assert pairs(source.fetch_observations("DCOILWTICO")) == [(date(2020, 4, 20), -36.98)]


REFUSED = {
    "another series": (
        b"observation_date,PAYEMS\n2025-09-01,1\n",
        errors.UnexpectedReply,
        "names 'PAYEMS', not UNRATE",
    ),
    "another header": (b"date;UNRATE\n2025-09-01;1\n", errors.UnexpectedReply, "the header is"),
    "HTML with 200": (b"<html>Access Denied</html>", errors.VendorUnavailable, "no data"),
    "JSON with 200": (b'{"error_code": 400}', errors.VendorUnavailable, "no data"),
    "nothing": (b"", errors.VendorUnavailable, "no data"),
    "cut inside a number": (GOOD[:-2], errors.IncompleteReply, "the last line is cut"),
    "cut inside a date": (GOOD[:-9], errors.IncompleteReply, "the last line is cut"),
    "word for a number": (GOOD.replace(b"4.4", b"n/a"), errors.UnexpectedReply, "line 2"),
    "infinity for a number": (GOOD.replace(b"4.4", b"inf"), errors.UnexpectedReply, "line 2"),
    "more than a number holds": (GOOD.replace(b"4.4", b"1e999"), errors.UnexpectedReply, "line 2"),
    "number of 400 digits": (GOOD.replace(b"4.4", b"9" * 400), errors.UnexpectedReply, "line 2"),
    "two numbers": (GOOD.replace(b"4.4", b"4.4,5"), errors.UnexpectedReply, "line 2"),
    "dates without one value": (
        b"observation_date,UNRATE\n2025-09-01,\n2025-10-01,.\n",
        errors.IncompleteReply,
        "none of 2 rows has a value",
    ),
    "dates that go back": (GOOD.replace(b"2025-11", b"2025-08"), errors.UnexpectedReply, "line 4"),
    "date twice": (GOOD.replace(b"2025-11", b"2025-10"), errors.UnexpectedReply, "line 4"),
    "day that is none": (GOOD.replace(b"2025-11-01", b"2025-02-30"), errors.UnexpectedReply, "line 4"),
}


@pytest.mark.parametrize(("body", "error", "words"), REFUSED.values(), ids=REFUSED)
def test_answer_that_is_not_the_series_is_refused_with_its_reason(scripted, source, body, error, words):
    scripted.will_answer(body)

    with pytest.raises(error, match=words) as caught:
        source.fetch_observations("UNRATE")
    assert "UNRATE" in str(caught.value) and "Nothing was stored" in str(caught.value)


def test_answer_shorter_than_the_one_before_is_taken_for_cut(scripted, source):
    scripted.will_answer(GOOD)

    n_rows = source.fetch_observations("UNRATE").num_rows
    known = np.array(source.fetch_observations("UNRATE")["observation_date"].to_pylist(), "datetime64[D]")
    older, newer = known[:1] - 31, known[-1:] + 31

    assert source.fetch_observations("UNRATE", known_dates=np.r_[older, known]).num_rows == n_rows == 3
    with pytest.raises(errors.IncompleteReply, match=r"3 rows since .* where 4 are known"):
        source.fetch_observations("UNRATE", known_dates=np.r_[known, newer])


def test_bad_answer_is_followed_by_a_good_one_and_both_are_kept(scripted, source, kept):
    scripted.will_answer(b"<html></html>", GOOD)

    assert source.fetch_observations("UNRATE").num_rows == 3
    assert [reply.body for reply in kept] == [b"<html></html>", GOOD]


@pytest.mark.parametrize("name", ["UNRATE&id=PAYEMS", "UNRATE,PAYEMS", "unrate", "", "DATE"])
def test_name_that_is_no_series_is_refused_before_anything_is_asked(scripted, source, name):
    scripted.will_answer(GOOD)

    with pytest.raises(errors.UnexpectedReply, match="not a FRED series"):
        source.fetch_observations(name)
    assert scripted.asked == []


csv_like = st.lists(
    st.sampled_from(
        [
            b"observation_date,UNRATE",
            b"\n",
            b",",
            b"2025-09-01",
            b"2025-10-01",
            b"4.4",
            b".",
            b"1e999",
            b"\r",
            b"9" * 400,
        ]
    ),
    max_size=14,
).map(b"".join)


@given(st.binary(max_size=200) | csv_like | st.binary(max_size=30).map(lambda tail: GOOD + tail))
@settings(max_examples=300)
def test_any_bytes_are_observations_or_a_vendor_error(body):
    try:
        rows = fred.parse_observations(reply_of(body), "UNRATE")
    except errors.VendorError:
        return

    days = rows["observation_date"].to_pylist()
    assert days == sorted(set(days))
    assert all(value is None or math.isfinite(value) for value in rows["value"].to_pylist())


@given(st.integers(0, len(GOOD) - 1))
def test_body_cut_anywhere_is_refused_or_ends_at_a_whole_line(cut):
    try:
        rows = fred.parse_observations(reply_of(GOOD[:cut]), "UNRATE")
    except errors.VendorError:
        return

    assert pairs(rows) == EXPECTED[: rows.num_rows] and GOOD[:cut].endswith(b"\n")
