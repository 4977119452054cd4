"""What the simulated vendors know: the value types behind the simulator.

Answers: which rows exist, and from when? A `Sheet` is one Tushare table as sorted columns, so that a reply for one
trade_date is a slice; a `MacroSeries` is one FRED series with every value it ever published. Nothing here knows the
clock: callers say up to which day they may look. Partners: `market.py` and `market_folder.py` build a `MarketTruth`,
`simulator_wire.py` turns it into replies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

NEVER = np.iinfo(np.int64).max

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Objects = npt.NDArray[np.object_]
Positions = slice | Integers


def compact(day: date) -> str:
    """The day as the vendor writes it, YYYYMMDD."""
    return f"{day:%Y%m%d}"


@dataclass(frozen=True)
class Sheet:
    """One Tushare table as columns of equal length, sorted by trade_date, then ts_code.

    Args:
        columns: column name to values; text columns are object arrays, NaN and None are the vendor's null.
        date_keys: trade_date of each row as the integer YYYYMMDD, ascending.
        by_code: ts_code to its row numbers, ascending in trade_date.
    """

    columns: Mapping[str, npt.NDArray[Any]]
    date_keys: Integers
    by_code: Mapping[str, Integers]

    def positions(self, first_key: int, last_key: int, ts_codes: Sequence[str] = ()) -> Positions:
        """Row numbers of a span of sessions, newest session first, as the vendor orders its replies.

        Args:
            first_key: first trade_date wanted, as the integer YYYYMMDD.
            last_key: last trade_date wanted, as the integer YYYYMMDD.
            ts_codes: only these securities; empty means all.
        """
        start = int(np.searchsorted(self.date_keys, first_key, side="left"))
        stop = max(start, int(np.searchsorted(self.date_keys, last_key, side="right")))
        if not ts_codes:
            if stop == start or self.date_keys[start] == self.date_keys[stop - 1]:
                return slice(start, stop)
            chosen = np.arange(start, stop, dtype=np.int64)
        else:
            known = [self.by_code[code] for code in dict.fromkeys(ts_codes) if code in self.by_code]
            chosen = np.sort(np.concatenate(known)) if known else np.empty(0, dtype=np.int64)
            chosen = chosen[(chosen >= start) & (chosen < stop)]
        return chosen[np.argsort(-self.date_keys[chosen], kind="stable")]

    def rows(self, positions: Positions, names: Sequence[str]) -> list[tuple[Any, ...]]:
        """The named columns of the given rows, as one tuple a row."""
        return list(zip(*(self.columns[name][positions].tolist() for name in names), strict=True))


def sheet_from_columns(columns: Mapping[str, npt.NDArray[Any]]) -> Sheet:
    """A sheet from unsorted columns, among them `ts_code` and `trade_date` (YYYYMMDD text)."""
    code_number, codes = _numbered(columns["ts_code"])
    day_number, days = _numbered(columns["trade_date"])
    order = np.lexsort((code_number, day_number))
    if np.any(np.diff(order) < 0):
        columns = {name: values[order] for name, values in columns.items()}
        code_number, day_number = code_number[order], day_number[order]
    by_position = np.argsort(code_number, kind="stable").astype(np.int64)
    bounds = np.searchsorted(code_number[by_position], np.arange(len(codes) + 1))
    by_code = {code: by_position[bounds[i] : bounds[i + 1]] for i, code in enumerate(codes)}
    return Sheet(columns, np.array([int(day) for day in days], dtype=np.int64)[day_number], by_code)


def _numbered(texts: npt.NDArray[Any]) -> tuple[Integers, list[str]]:
    """The rank of each text among the distinct ones, and these ascending; a dict is faster than sorting objects."""
    distinct = sorted(set(texts.tolist()))
    rank = {text: number for number, text in enumerate(distinct)}
    return np.array([rank[text] for text in texts.tolist()], dtype=np.int64), distinct


@dataclass(frozen=True)
class Listing:
    """One security of `stock_basic`; `delist_date` is its first day without trading."""

    ts_code: str
    name: str
    area: str | None
    industry: str | None
    cnspell: str | None
    market: str | None
    list_date: date
    delist_date: date | None = None
    act_name: str | None = None
    act_ent_type: str | None = None


@dataclass(frozen=True)
class Prints:
    """One publication of each observation of a series.

    Args:
        release_days: proleptic ordinal of the release day of each observation; NEVER where this print does not exist.
        texts: the published value of each observation as written; empty text means missing.
    """

    release_days: Integers
    texts: tuple[str, ...]


@dataclass(frozen=True)
class MacroSeries:
    """One FRED series with all its vintages; a later print replaces an earlier one from its release day on.

    Args:
        series_id: FRED's identifier.
        observation_dates: first day of each period, ascending.
        prints: publications, the later ones last.
        rolling_years: years that FRED shows; None for all.
        units: unit in FRED's words and the day it is so from, ascending.
        has_vintages: whether FRED keeps what it published when.
    """

    series_id: str
    observation_dates: tuple[date, ...]
    prints: tuple[Prints, ...]
    rolling_years: int | None = None
    units: tuple[tuple[date, str], ...] = ((date.min, "Index"),)
    has_vintages: bool = True
    _lines: tuple[Objects, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare the CSV lines once, because a reply is the full history each time."""
        stamps = [day.isoformat() for day in self.observation_dates]
        lines = tuple(
            np.array([f"{stamp},{text}\n" for stamp, text in zip(stamps, each.texts, strict=True)], dtype=object)
            for each in self.prints
        )
        object.__setattr__(self, "_lines", lines)

    def csv_at(self, day: date) -> bytes:
        """The reply FRED would give at the end of a US Central day: latest vintage only, full history."""
        chosen = np.full(len(self.observation_dates), "", dtype=object)
        for each, lines in zip(self.prints, self._lines, strict=True):
            visible = each.release_days <= day.toordinal()
            chosen[visible] = lines[visible]
        if self.rolling_years is not None:
            hidden = int(np.searchsorted(np.array(self.observation_dates), self.oldest_shown(day)))  # type: ignore[call-overload]
            chosen[:hidden] = ""
        return (f"observation_date,{self.series_id}\n" + "".join(chosen.tolist())).encode()

    def oldest_shown(self, day: date) -> date:
        """The oldest period that FRED still shows on a day."""
        if self.rolling_years is None:
            return date.min
        return date(day.year - self.rolling_years, day.month, min(day.day, 28))

    def units_at(self, day: date) -> str:
        """The unit in FRED's words on a day."""
        return [words for start, words in self.units if start <= day][-1]


@dataclass(frozen=True)
class Anomaly:
    """One planted fault of the served bars: the answer a detector should find.

    `kind` is one of `pct_chg_mismatch`, `limit_break`, `price_order`, `adj_factor_misfit`, `return_outlier`,
    `volume_burst`.
    """

    kind: str
    ts_code: str
    trade_date: date
    note: str


@dataclass(frozen=True)
class MarketTruth:
    """Everything that both simulated vendors will ever publish, and what was planted in it.

    Args:
        name: which data set this is, for people.
        session_dates: sessions with bars, ascending.
        ts_codes: securities with bars, ascending.
        sheets: `daily`, `adj_factor`, `daily_basic`, `suspend_d`, `index_daily`.
        listings: rows of `stock_basic`, delisted ones included.
        calendar: each calendar day to open or closed.
        macro: series_id to series.
        code_changes: name, old and new code of Beijing's securities whose code changed.
        anomalies: the answer key; empty on real data.
        factor_returns: (n_sessions, n_factors) daily log returns of the planted equity factors; (0, 0) on real data.
        factor_loadings: (n_symbols, n_factors) exposures to them, rows as `ts_codes`; (0, 0) on real data.
        macro_factors: (n_months, n_macro_factors) planted macro factors, standardised; (0, 0) on real data.
        macro_months: first day of each month of `macro_factors`.
    """

    name: str
    session_dates: tuple[date, ...]
    ts_codes: tuple[str, ...]
    sheets: Mapping[str, Sheet]
    listings: tuple[Listing, ...]
    calendar: Mapping[date, bool]
    macro: Mapping[str, MacroSeries]
    code_changes: tuple[tuple[str, str, str], ...] = ()
    anomalies: tuple[Anomaly, ...] = ()
    factor_returns: Floats = field(default_factory=lambda: np.empty((0, 0)))
    factor_loadings: Floats = field(default_factory=lambda: np.empty((0, 0)))
    macro_factors: Floats = field(default_factory=lambda: np.empty((0, 0)))
    macro_months: tuple[date, ...] = ()
