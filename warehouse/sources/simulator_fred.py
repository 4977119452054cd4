"""What would FRED's API answer right now? Vintages, values with their real-time periods, and facts of series.

Written from FRED's documents and from what its users report, and from nothing our client assumes: at most 2,000
vintages at a time, intervals clipped to the period asked for, dates later than US Central's today refused, values as
text with a full stop for missing. Invariant: nothing released after *now* is in a reply. Partners: `simulator.py`,
which routes here, and `truth.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from warehouse.sources.faults import Fault
from warehouse.sources.truth import MacroSeries

CENTRAL = ZoneInfo("America/Chicago")
# Most releases of the statistical agencies are at 08:30 Eastern, which is 07:30 Central.
RELEASES_AT = time(7, 30)
EARLIEST, LATEST = date(1776, 7, 4), date(9999, 12, 31)
VINTAGE_CAP = 2000
MOST_ROWS = {"series/observations": 100_000, "series/vintagedates": 10_000}
FREQUENCY_NAMES = {"D": "Daily", "W": "Weekly", "M": "Monthly", "Q": "Quarterly"}
# Longest gap between periods, in days, by frequency.
LONGEST_GAP = {"D": 4, "W": 8, "M": 32}
SERIES_MISSING = "Bad Request.  The series does not exist."
NOT_IN_ALFRED = "Bad Request.  The series does not exist in ALFRED but may exist in FRED."
KEY_MISSING = "Bad Request.  Variable api_key is not set.  Read https://fred.stlouisfed.org/docs/api/api_key.html."
KEY_UNKNOWN = (
    "Bad Request.  The value for variable api_key is not registered.  "
    "Read https://fred.stlouisfed.org/docs/api/api_key.html for more information."
)


class Refused(Exception):
    """FRED answers with an error.

    Args:
        status: HTTP status, which the body repeats.
        words: FRED's words.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words

    @property
    def body(self) -> bytes:
        """The error as FRED sends it when JSON was asked for."""
        return msgspec.json.encode({"error_code": self.status, "error_message": self.words})


@dataclass(frozen=True)
class _Spell:
    """One value of one period, and the closed interval of days on which it was the published one."""

    period: date
    text: str
    start: date
    end: date


class FredApiWire:
    """FRED's answers about some series.

    Args:
        series: what FRED knows, by series id.
        key: the only key accepted; None accepts any of 32 lower-case letters and digits.
    """

    def __init__(self, series: Mapping[str, MacroSeries], key: str | None) -> None:
        self._series, self._key = series, key
        self._spells: dict[tuple[str, date], list[_Spell]] = {}

    def answer(self, endpoint: str, params: Mapping[str, str], now: datetime, hits: tuple[Fault, ...] = ()) -> bytes:
        """The body of an answer.

        Raises:
            Refused: FRED would refuse.
        """
        self._check_key(params)
        local = now.astimezone(CENTRAL)
        newest = local.date() - timedelta(days=local.time() < RELEASES_AT)
        series = self._series.get(params.get("series_id", ""))
        if series is None:
            raise Refused(400, SERIES_MISSING)
        first, last = _period(params, local.date(), endpoint)
        if endpoint == "series":
            return msgspec.json.encode(self._facts(series, newest, first, last))
        if not series.has_vintages:
            raise Refused(400, NOT_IN_ALFRED)
        spells = self._spells_of(series, newest)
        dates = sorted({spell.start for spell in spells if first <= spell.start <= last})
        if endpoint == "series/vintagedates":
            of_list = {"realtime_start": str(first), "realtime_end": str(last), "order_by": "vintage_date"}
            return self._page(
                endpoint, params, of_list, name="vintage_dates", rows=[str(day) for day in dates], hits=hits
            )
        if len(dates) > VINTAGE_CAP:
            raise Refused(
                400,
                f"Bad Request.  There are {len(dates)} vintage dates in the specified real-time period: {first} to "
                f"{last}.  This exceeds the maximum number of vintage dates allowed ({VINTAGE_CAP}).",
            )
        rows = [
            {
                "realtime_start": str(max(spell.start, first)),
                "realtime_end": str(min(spell.end, last)),
                "date": str(spell.period),
                "value": spell.text or ".",
            }
            for spell in spells
            if spell.start <= last and spell.end >= first
        ]
        head: dict[str, Any] = {
            **{"realtime_start": str(first), "realtime_end": str(last)},
            **{"observation_start": str(EARLIEST), "observation_end": str(LATEST)},
            **{"units": "lin", "output_type": 1, "file_type": "json", "order_by": "observation_date"},
        }
        return self._page(endpoint, params, head, name="observations", rows=rows, hits=hits)

    def _check_key(self, params: Mapping[str, str]) -> None:
        key = params.get("api_key", "")
        if not key:
            raise Refused(400, KEY_MISSING)
        if key != self._key if self._key is not None else not (len(key) == 32 and key.isalnum() and key == key.lower()):
            raise Refused(400, KEY_UNKNOWN)

    def _page(
        self,
        endpoint: str,
        params: Mapping[str, str],
        head: Mapping[str, Any],
        *,
        name: str,
        rows: list[Any],
        hits: tuple[Fault, ...],
    ) -> bytes:
        limit = min(_number(params, "limit", MOST_ROWS[endpoint]), MOST_ROWS[endpoint])
        offset = _number(params, "offset", 0)
        if params.get("sort_order", "asc") == "desc":
            rows = rows[::-1]
        page = rows[offset : offset + limit]
        for fault in hits:
            page = _spoilt(page, fault)
        body = {**head, "sort_order": params.get("sort_order", "asc"), "count": len(rows), "offset": offset}
        return msgspec.json.encode(body | {"limit": limit, name: page})

    def _facts(self, series: MacroSeries, newest: date, first: date, last: date) -> dict[str, Any]:
        spells = self._spells_of(series, newest)
        released = max((spell.start for spell in spells), default=newest)
        at = datetime.combine(released, time(7, 46, 10), CENTRAL)
        frequency = frequency_of(series)
        units = series.units_at(newest)
        described = {
            "id": series.series_id,
            "realtime_start": str(first),
            "realtime_end": str(last),
            "title": f"Series {series.series_id}",
            "observation_start": str(series.observation_dates[0]),
            "observation_end": str(max((spell.period for spell in spells), default=series.observation_dates[0])),
            "frequency": FREQUENCY_NAMES[frequency],
            "frequency_short": frequency,
            "units": units,
            "units_short": units,
            "seasonal_adjustment": "Seasonally Adjusted",
            "seasonal_adjustment_short": "SA",
            # FRED writes the offset as hours alone.
            "last_updated": f"{at:%Y-%m-%d %H:%M:%S}{at:%z}"[:22],
            "popularity": 50,
        }
        return {"realtime_start": str(first), "realtime_end": str(last), "seriess": [described]}

    def _spells_of(self, series: MacroSeries, newest: date) -> list[_Spell]:
        """Every value published by a day, sorted by period, then by start; computed once a day."""
        key = (series.series_id, newest)
        if key not in self._spells:
            # Only the newest day of each series is kept: the clock seldom goes back.
            for other in [each for each in self._spells if each[0] == series.series_id]:
                del self._spells[other]
            self._spells[key] = list(_spells(series, newest))
        return self._spells[key]


def frequency_of(series: MacroSeries) -> str:
    """D, W, M or Q, by the usual distance of its periods."""
    days = np.array([day.toordinal() for day in series.observation_dates])
    usual = float(np.median(np.diff(days))) if len(days) > 1 else 31.0
    return next((name for name, most in LONGEST_GAP.items() if usual <= most), "Q")


def _spells(series: MacroSeries, newest: date) -> Iterator[_Spell]:
    rolled = series.oldest_shown(newest)
    for at, period in enumerate(series.observation_dates):
        if period < rolled:
            continue
        shown: list[tuple[int, str]] = []
        for each in series.prints:
            day = int(each.release_days[at])
            if day > newest.toordinal():
                continue
            # A later print replaces an earlier one from its day on, and hides it altogether when it is no later.
            shown = [entry for entry in shown if entry[0] < day]
            if not shown or shown[-1][1] != each.texts[at]:
                shown.append((day, each.texts[at]))
        for (day, text), after in itertools.zip_longest(shown, shown[1:]):
            end = LATEST if after is None else date.fromordinal(after[0] - 1)
            yield _Spell(period, text, date.fromordinal(day), end)


def _period(params: Mapping[str, str], today: date, endpoint: str) -> tuple[date, date]:
    """The real-time period asked for; of vintagedates all there is by default, of the others today."""
    is_list = endpoint == "series/vintagedates"
    days = []
    for name, default in (
        ("realtime_start", EARLIEST if is_list else today),
        ("realtime_end", LATEST if is_list else today),
    ):
        try:
            day = date.fromisoformat(params.get(name, str(default)))
        except ValueError as exc:
            raise Refused(400, f"Bad Request.  Value of {name} is not a date in the format YYYY-MM-DD.") from exc
        if today < day < LATEST:
            raise Refused(
                400,
                f"Bad Request.  Variable {name} can not be after today's date ({today}) unless it is {LATEST}.",
            )
        days.append(day)
    if days[0] > days[1]:
        raise Refused(400, "Bad Request.  Variable realtime_start can not be after realtime_end.")
    return days[0], days[1]


def _spoilt(page: list[Any], fault: Fault) -> list[Any]:
    """The page as a misbehaving FRED would send it, its count unchanged; faults of other sorts change nothing."""
    if fault.kind == "empty":
        return []
    if fault.kind == "partial_market":
        return page[: int(len(page) * fault.share)]
    if fault.kind == "row_cap":
        return page[: fault.cap]
    if fault.kind == "duplicate_rows":
        return page[: fault.cap] + page
    if fault.kind == "null_column" and page and isinstance(page[0], dict):
        return [{**row, "value": "."} for row in page]
    if fault.kind == "late_correction" and page and isinstance(page[-1], dict) and page[-1]["value"] != ".":
        return [*page[:-1], {**page[-1], "value": str(round(float(page[-1]["value"]) * fault.factor, 4))}]
    return page


def _number(params: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(params.get(name, default))
    except ValueError as exc:
        raise Refused(400, f"Bad Request.  Value of {name} is not an integer.") from exc


def instant_of(day: date) -> datetime:
    """The UTC instant at which a day's releases are out, for whoever moves the clock."""
    return datetime.combine(day, RELEASES_AT, CENTRAL).astimezone(UTC)
