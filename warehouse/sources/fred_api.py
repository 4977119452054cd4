"""FRED's official API: a series' true vintages, whole, and what FRED says of the series.

Where `fredgraph.csv` shows only today's values, the API shows each value with the closed interval of days on which it
was the published one. It serves at most 2,000 vintages at a time and clips intervals at the edges of what was asked,
so the vintages are listed first, asked for in parts, and the parts joined. Invariants: the rows counted are the rows
received, page by page; no interval is cut at an edge; the key appears nowhere. Partners: `http.py`, `fred.py`.

Source:
    api.stlouisfed.org/docs/fred: series, series/vintagedates, series/observations, realtime_period, errors.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import requests

from warehouse import errors
from warehouse.sources import http, limits
from warehouse.sources.fred import SERIES_ID

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_DAY, LAST_DAY = "1776-07-04", "9999-12-31"
# The vendor's own limits (documents of the endpoints above; the cap on vintages is in its error message).
MOST_VINTAGES = 2000
MOST_ROWS = 100_000
MOST_DATES = 10_000
# FRED names no wait; its clients found twenty seconds to be enough.
WAIT_AFTER_429_S = 20.0
FACTS = ("title", "units", "frequency", "seasonal_adjustment", "last_updated")
MISSING = (".", "")
XML_MESSAGE = re.compile(r'message="([^"]*)"')
COLUMNS = ("observation_date", "value", "realtime_start", "realtime_end")


@dataclass(frozen=True)
class TrueVintages:
    """What FRED published of a series, and when.

    Args:
        rows: series_id, observation_date, value (NULL when published as missing), realtime_start, realtime_end.
        dates: days of its vintages, ascending, since the first one asked for.
    """

    rows: pa.Table
    dates: tuple[date, ...]


class FredApiSource:
    """FRED's API; needs a key.

    Args:
        key: 32 letters and digits; it is in every address and in nothing that is kept or said.
        base_url: up to and with `/fred`.
        now: the instant, UTC.
        keep: is handed every answer.
        policy: how patient to be.
        shared_limits: where calls are counted; `FredSource` names the same, as FRED counts both's requests.
    """

    def __init__(
        self,
        key: str,
        *,
        base_url: str = "https://api.stlouisfed.org/fred",
        now: Callable[[], datetime],
        keep: http.Keep,
        policy: http.Policy | None = None,
        shared_limits: limits.Shared | None = None,
    ) -> None:
        self._key = key
        self._url = base_url.rstrip("/")
        self._transport = http.Transport(
            "fred",
            policy=policy or http.Policy(),
            now=now,
            keep=keep,
            secret=key,
            shared_limits=shared_limits,
            refuse=refuse_answer,
        )

    def __repr__(self) -> str:
        return f"FredApiSource({self._url!r})"

    def fetch_facts(self, series_id: str) -> pa.Table:
        """What FRED says of a series: rows (series_id, fact_name, value), fact names as in `FACTS`.

        Raises:
            Retryable: asking again may help.
            Fatal: FRED does not know the series or the key, or sent something else.
        """

        def read(reply: http.Reply) -> pa.Table:
            answer = _object(reply)
            found = answer.get("seriess")
            if not isinstance(found, list) or len(found) != 1 or found[0].get("id") != series_id:
                raise _unexpected(reply, f"it does not describe {series_id}")
            facts = {name: found[0].get(name) for name in FACTS}
            strange = [name for name, value in facts.items() if not isinstance(value, str) or not value]
            if strange:
                raise _unexpected(reply, f"it does not say {', '.join(strange)}")
            return pa.table(
                {"series_id": [series_id] * len(facts), "fact_name": list(facts), "value": list(facts.values())}
            )

        return self._ask("series", series_id, {}, read)

    def fetch_vintage_dates(self, series_id: str) -> tuple[date, ...]:
        """The days on which FRED published a vintage of the series, ascending.

        Raises:
            NotArchived: FRED keeps no vintages of it.
            VendorError: as `fetch_facts`.
        """
        dates: list[date] = []
        while True:
            read = _page_reader("vintage_dates", len(dates), MOST_DATES)
            asked = {"limit": str(MOST_DATES), "offset": str(len(dates)), "sort_order": "asc"}
            n_all, page = self._ask("series/vintagedates", series_id, asked, read)
            dates += [date.fromisoformat(day) for day in page]
            if len(dates) >= n_all:
                break
        if not dates:
            raise errors.NotArchived(
                f"fred lists no vintage of {series_id}. Nothing was stored; it is watched day by day instead."
            )
        if dates != sorted(set(dates)):
            raise errors.UnexpectedReply(
                f"fred lists the vintages of {series_id} twice or out of order. Nothing was stored; run again later."
            )
        return tuple(dates)

    def fetch_vintages(self, series_id: str, *, since: date | None = None) -> TrueVintages:
        """Every value of a series with the interval of days on which it was the published one.

        Args:
            series_id: FRED's identifier, such as `UNRATE`.
            since: leave out what was over before this day, and cut at it what was not; None for all.

        Raises:
            NotArchived: FRED keeps no vintages of it.
            Retryable: asking again may help.
            Fatal: FRED does not know the series or the key, or sent something else.
        """
        dates = self.fetch_vintage_dates(series_id)
        wanted = tuple(day for day in dates if since is None or day >= since) or dates[-1:]
        parts = [self._fetch_span(series_id, first, last) for first, last in spans_of(wanted)]
        rows = joined(pa.concat_tables(parts))
        if not rows.num_rows:
            raise errors.IncompleteReply(
                f"fred lists {len(wanted)} vintages of {series_id} and sent no value. Nothing was stored; "
                "run again later."
            )
        # Since a day or not, what is published now is among the rows, so a series has lost every value it ever had.
        if rows["value"].null_count == rows.num_rows:
            raise errors.IncompleteReply(
                f"fred sent {rows.num_rows} rows of {series_id}, none of which has a value. Nothing was stored; "
                "run again later."
            )
        begun = set(rows["realtime_start"].to_pylist())
        silent = [day for day in wanted if day not in begun]
        if silent:
            log.warning("vintages without a new value series=%s days=%s first=%s", series_id, len(silent), silent[0])
        rows = rows.add_column(0, "series_id", pa.array([series_id] * rows.num_rows, pa.string()))
        return TrueVintages(rows, wanted)

    def _fetch_span(self, series_id: str, first: str, last: str) -> pa.Table:
        pages: list[pa.Table] = []
        n_received, n_all = 0, -1
        while n_all < 0 or n_received < n_all:
            asked = {
                "realtime_start": first,
                "realtime_end": last,
                "output_type": "1",
                "limit": str(MOST_ROWS),
                "offset": str(n_received),
                "sort_order": "asc",
            }
            read = _observation_reader(first, last, n_received)
            n_now, page = self._ask("series/observations", series_id, asked, read)
            if n_all not in (-1, n_now):
                raise errors.IncompleteReply(
                    f"fred series/observations({series_id}): {n_all} rows at first, {n_now} a page later. Nothing was "
                    "stored; it was being published, run again later."
                )
            n_all = n_now
            n_received += page.num_rows
            pages.append(page)
        return pa.concat_tables(pages)

    def _ask(self, endpoint: str, series_id: str, asked: Mapping[str, str], read: Callable[[http.Reply], T]) -> T:
        if not SERIES_ID.fullmatch(series_id):
            raise errors.UnexpectedReply(
                f"{series_id!r} is not a FRED series: only capital letters and digits. Mend fred_series.csv."
            )
        params = {"series_id": series_id, **asked, "file_type": "json"}
        request = requests.Request("GET", f"{self._url}/{endpoint}", params={**params, "api_key": self._key})
        return self._transport.call(request, {"endpoint": endpoint, **params}, read)


def spans_of(dates: Sequence[date]) -> list[tuple[str, str]]:
    """Real-time periods of at most `MOST_VINTAGES` vintages that leave no day out between them; the last is open."""
    starts = list(dates[::MOST_VINTAGES])
    ends = [*((start - timedelta(days=1)).isoformat() for start in starts[1:]), LAST_DAY]
    return [(start.isoformat(), end) for start, end in zip(starts, ends, strict=True)]


def joined(rows: pa.Table) -> pa.Table:
    """Intervals in one piece that were cut at the edge of a period asked for, sorted by period and start.

    Args:
        rows: observation_date, value, realtime_start, realtime_end.

    Raises:
        UnexpectedReply: two values for one period on one day, from the same day on.
    """
    period, start, end = (rows[name].to_numpy().astype("datetime64[D]") for name in (COLUMNS[0], *COLUMNS[2:]))
    value = rows["value"].to_numpy(zero_copy_only=False).astype(np.float64)
    order = np.lexsort((end, start, period))
    period, start, end, value = period[order], start[order], end[order], value[order]
    same_period = np.r_[False, period[1:] == period[:-1]]
    same_value = np.r_[False, (value[1:] == value[:-1]) | (np.isnan(value[1:]) & np.isnan(value[:-1]))]
    same_start = np.r_[False, start[1:] == start[:-1]] & same_period
    if np.any(same_start & ~same_value):
        at = int(np.flatnonzero(same_start & ~same_value)[0])
        raise errors.UnexpectedReply(
            f"fred has two values for {period[at]} from {start[at]} on. Nothing was stored; run again later, "
            "and ask FRED if it repeats."
        )
    # FRED sometimes leaves a value open that a later one replaces (fredapi#69): the later one begins, the other ends.
    overlaps = np.r_[same_period[1:] & (start[1:] <= end[:-1]) & ~same_value[1:], False]
    end = np.where(overlaps, np.r_[start[1:], start[-1:]] - 1, end)
    goes_on = same_period & same_value & (start <= np.r_[end[:1], end[:-1]] + 1)
    first = np.flatnonzero(~goes_on)
    last_end = np.maximum.reduceat(end, first) if len(first) else end
    return pa.table(
        {
            "observation_date": pa.array(period[first], pa.date32()),
            "value": pa.array(value[first], pa.float64(), mask=np.isnan(value[first])),
            "realtime_start": pa.array(start[first], pa.date32()),
            "realtime_end": pa.array(last_end, pa.date32()),
        }
    )


def refuse_answer(reply: http.Reply) -> None:
    """Nothing when the HTTP status is 200.

    Raises:
        BadCredentials: FRED does not know the key.
        NotArchived: FRED keeps no vintages of the series.
        RowCapReached: more vintages were asked for than it serves at a time.
        RateLimited: 429, to be waited out for as long as FRED says, else for twenty seconds.
        VendorError: as `http.refuse_status`.
    """
    if reply.status == 429:
        wait_s = http.retry_after(reply)
        raise errors.RateLimited(
            f"{reply.described}: too many requests (HTTP 429). Lower DAYBOOK__FRED_CALLS_PER_SECOND if it repeats.",
            WAIT_AFTER_429_S if wait_s is None else wait_s,
        )
    words = _refusal(reply)
    if reply.status == 400 and words:
        raise _refused(reply, words)
    http.refuse_status(reply)


def _refused(reply: http.Reply, words: str) -> errors.VendorError:
    said = f"{reply.described}: FRED says {words[:200]!r}."
    if "api_key" in words:
        return errors.BadCredentials(f"{said} Nothing was stored; check FRED_API_KEY.")
    if "ALFRED" in words:
        return errors.NotArchived(f"{said} Nothing was stored; the series is watched day by day instead.")
    if "vintage dates" in words and "maximum" in words:
        return errors.RowCapReached(f"{said} Nothing was stored; run again, vintages came while it was asked.")
    return errors.UnexpectedReply(f"{said} Nothing was stored; mend fred_series.csv if the series has gone.")


def _refusal(reply: http.Reply) -> str:
    """FRED's own words of an error, which it sends as JSON or as XML; empty when there are none."""
    text = reply.body.decode("utf-8", "replace")
    try:
        answer = msgspec.json.decode(text)
    except msgspec.DecodeError:
        found = XML_MESSAGE.search(text)
        return found.group(1) if found else ""
    return str(answer.get("error_message", "")) if isinstance(answer, dict) else ""


def _object(reply: http.Reply) -> dict[str, Any]:
    if not reply.body.strip() or reply.body.lstrip()[:1] == b"<":
        start = reply.body[:60].decode("utf-8", "replace")
        raise errors.VendorUnavailable(
            f"{reply.described}: the answer is no data ({start!r}). Nothing was stored; run again later."
        )
    try:
        answer = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise errors.IncompleteReply(
            f"{reply.described}: the answer is no whole JSON. Nothing was stored; run again later."
        ) from exc
    if not isinstance(answer, dict):
        raise _unexpected(reply, "it is no JSON object")
    if "error_code" in answer:
        raise _refused(reply, str(answer.get("error_message", answer["error_code"])))
    return answer


def _page_reader(name: str, offset: int, limit: int) -> Callable[[http.Reply], tuple[int, list[Any]]]:
    """A judge of one page of an answer: how many rows there are in all, and this page's, as many as were announced."""

    def read(reply: http.Reply) -> tuple[int, list[Any]]:
        answer = _object(reply)
        n_all, items = answer.get("count"), answer.get(name)
        if not isinstance(n_all, int) or not isinstance(items, list) or answer.get("offset") != offset:
            raise _unexpected(reply, f"it has no count, no {name}, or not the page asked for")
        if len(items) != max(min(limit, n_all - offset), 0):
            raise errors.IncompleteReply(
                f"{reply.described}: {len(items)} of {n_all} rows from {offset} on came, expected "
                f"{max(min(limit, n_all - offset), 0)}. Nothing was stored; run again later."
            )
        return n_all, items

    return read


def _observation_reader(first: str, last: str, offset: int) -> Callable[[http.Reply], tuple[int, pa.Table]]:
    read_page = _page_reader("observations", offset, MOST_ROWS)

    def read(reply: http.Reply) -> tuple[int, pa.Table]:
        answer = _object(reply)
        if (answer.get("realtime_start"), answer.get("realtime_end")) != (first, last):
            raise _unexpected(reply, f"it is not of the period {first} to {last}")
        if (answer.get("units", "lin"), answer.get("output_type", 1)) != ("lin", 1):
            raise _unexpected(reply, "it is not in the published units")
        n_all, items = read_page(reply)
        return n_all, _table(reply, items, first, last)

    return read


def _table(reply: http.Reply, items: list[Any], first: str, last: str) -> pa.Table:
    names = ("date", "value", "realtime_start", "realtime_end")
    try:
        columns = {name: pa.array([item[name] for item in items], pa.string()) for name in names}
        texts = columns["value"].to_pylist()
        values = pa.array([None if text in MISSING else text for text in texts], pa.string()).cast(pa.float64())
        dates = {name: columns[name].cast(pa.date32()) for name in names if name != "value"}
    except (KeyError, TypeError, pa.ArrowInvalid, pa.ArrowTypeError) as exc:
        raise _unexpected(reply, f"a row is no observation ({type(exc).__name__}: {exc})") from exc
    if any(array.null_count for array in dates.values()) or None in texts:
        raise _unexpected(reply, "a row lacks a field")
    starts = dates["realtime_start"].to_numpy(zero_copy_only=False)
    ends = dates["realtime_end"].to_numpy(zero_copy_only=False)
    if not np.isfinite(values.drop_null().to_numpy(zero_copy_only=False)).all():
        raise _unexpected(reply, "a value is no finite number")
    if np.any(starts > ends) or np.any(starts < np.datetime64(first)) or np.any(ends > np.datetime64(last)):
        raise _unexpected(reply, "an interval lies outside the period asked for")
    return pa.table([dates["date"], values, dates["realtime_start"], dates["realtime_end"]], names=list(COLUMNS))


def _unexpected(reply: http.Reply, reason: str) -> errors.UnexpectedReply:
    return errors.UnexpectedReply(
        f"{reply.described}: {reason}. Nothing was stored; the answer is in the archive as {reply.reply_id}."
    )
