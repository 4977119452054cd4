"""What do the simulated vendors know when they serve real figures? A folder of vendor data, read into a `MarketTruth`.

The folder has `ashare/` (Tushare's tables, of one universe) and `fred/` (one CSV a series, and dated copies in
`snapshots/`). Invariant: on every session, listed less suspended is exactly the securities with a bar, because the
folder's own list of suspensions is completed from the bars. Partners: `truth.py`, `market_macro.py` (release lags).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from warehouse import errors
from warehouse.sources import market_macro, truth
from warehouse.sources.truth import NEVER, Listing, MacroSeries, MarketTruth, Prints, Sheet

# Industrial and Commercial Bank: the ex-dividend day everybody checks first.
ALWAYS_SERVED = "601398.SH"
BASIC_COLUMNS = (
    *("ts_code", "trade_date", "close", "turnover_rate", "volume_ratio", "pe_ttm", "pb", "ps_ttm"),
    *("total_mv", "circ_mv"),
)
INDEX_CODE = "000300.SH"
DELISTED_FILE = "stock_basic_with_delisted_*.csv"


def folder_market(path: Path, *, n_symbols: int | None = None) -> MarketTruth:
    """Everything a folder of real vendor data has to tell.

    Args:
        path: folder with `ashare/` and `fred/`.
        n_symbols: securities to serve, first by ts_code, 601398.SH always among them; None for all.

    Raises:
        ConfigError: the folder or one of its files is missing or not readable.
    """
    if not (path / "ashare").is_dir() or not (path / "fred").is_dir():
        raise errors.ConfigError(
            f"{path} is no folder of vendor data: it has no `ashare` and `fred` in it. Give another folder with --data,"
            " or leave it out for the synthetic market."
        )
    daily = _read_table(path / "ashare", "daily_[!b]*.parquet")
    ts_codes = _chosen_codes(daily, n_symbols)
    daily = daily[daily["ts_code"].isin(ts_codes)]
    factors = _read_table(path / "ashare", "adj_factor_*.parquet")
    basics = _read_table(path / "ashare", "daily_basic_*.parquet").reindex(columns=list(BASIC_COLUMNS))
    index = _read_table(path / "ashare", f"index_daily_{INDEX_CODE}.csv")
    calendar = _read_calendar(path / "ashare")
    sessions = tuple(_day(text) for text in sorted(daily["trade_date"].unique()))
    listings = _read_listings(path / "ashare", daily)
    return MarketTruth(
        name=f"vendor data in {path.name}",
        session_dates=sessions,
        ts_codes=tuple(ts_codes),
        sheets={
            "daily": _sheet(daily),
            "adj_factor": _sheet(factors[factors["ts_code"].isin(ts_codes)]),
            "daily_basic": _sheet(_with_bars(basics, daily)),
            "suspend_d": _sheet(_suspensions(daily, listings, sessions)),
            "index_daily": _sheet(index),
        },
        listings=listings,
        calendar=calendar,
        macro=_read_macro(path / "fred"),
    )


def _read_table(folder: Path, pattern: str) -> pd.DataFrame:
    """One table of the folder; codes and dates stay text."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise errors.ConfigError(
            f"{folder} has no file {pattern}. Complete the folder, or leave out --data for the synthetic market."
        )
    try:
        if found[0].suffix == ".parquet":
            return pd.read_parquet(found[0])
        return pd.read_csv(
            found[0], dtype={"ts_code": str, "trade_date": str, "symbol": str, "list_date": str, "delist_date": str}
        )
    except (ValueError, OSError) as exc:
        raise errors.ConfigError(f"{found[0]} cannot be read: {exc}. Replace the file.") from exc


def _chosen_codes(daily: pd.DataFrame, n_symbols: int | None) -> list[str]:
    known = sorted(daily["ts_code"].unique())
    if n_symbols is None or n_symbols >= len(known):
        return known
    if n_symbols < 1:
        raise errors.ConfigError(f"--symbols {n_symbols} is out of range: ask for 1 to {len(known)} securities.")
    chosen = known[:n_symbols]
    if ALWAYS_SERVED in known and ALWAYS_SERVED not in chosen:
        chosen[-1] = ALWAYS_SERVED
    return chosen


def _sheet(frame: pd.DataFrame) -> Sheet:
    columns: dict[str, npt.NDArray[Any]] = {}
    for name in frame.columns:
        is_number = pd.api.types.is_numeric_dtype(frame[name].dtype)
        columns[str(name)] = frame[name].to_numpy(dtype=np.float64 if is_number else np.object_)
    return truth.sheet_from_columns(columns)


def _with_bars(basics: pd.DataFrame, daily: pd.DataFrame) -> pd.DataFrame:
    """Tushare sends no daily_basic for a suspended security; the folder's file does."""
    return basics.merge(daily[["ts_code", "trade_date"]], on=["ts_code", "trade_date"], how="inner")


def _read_calendar(folder: Path) -> Mapping[date, bool]:
    rows = _read_table(folder, "trade_cal_*.csv")
    return {_day(str(day)): bool(is_open) for day, is_open in zip(rows["cal_date"], rows["is_open"], strict=True)}


def _read_listings(folder: Path, daily: pd.DataFrame) -> tuple[Listing, ...]:
    """Who is listed since when; a security traded before its entry says so is listed since its first bar."""
    entries = _read_table(folder, "stock_basic_2*.csv").set_index("ts_code").to_dict("index")
    spans = daily.groupby("ts_code")["trade_date"].agg(["min", "max"])
    listings = []
    for ts_code, first_bar in spans["min"].items():
        entry = entries.get(str(ts_code), {})
        said = entry.get("list_date")
        list_date = min(_day(said), _day(first_bar)) if isinstance(said, str) else _day(first_bar)
        words = {name: _text(entry.get(name)) for name in ("name", "area", "industry", "cnspell", "market")}
        listings.append(
            Listing(
                str(ts_code),
                words["name"] or str(ts_code),
                words["area"],
                words["industry"],
                words["cnspell"],
                words["market"],
                list_date,
                act_name=_text(entry.get("act_name")),
                act_ent_type=_text(entry.get("act_ent_type")),
            )
        )
    return (*listings, *_read_gone(folder, {each.ts_code for each in listings}, _day(daily["trade_date"].min())))


def _read_gone(folder: Path, served: Collection[str], first_session: date) -> list[Listing]:
    """Securities delisted before the folder's first session, where it says so."""
    if not list(folder.glob(DELISTED_FILE)):
        return []
    entries = _read_table(folder, DELISTED_FILE)
    return [
        Listing(str(row["ts_code"]), _text(row["name"]) or str(row["ts_code"]), None, None, None, None, *days)
        for row in entries[entries["list_status"] == "D"].to_dict("records")
        if row["ts_code"] not in served
        and isinstance(row["list_date"], str)
        and (days := (_day(row["list_date"]), _day(row["delist_date"])))[1] <= first_session
    ]


def _suspensions(daily: pd.DataFrame, listings: Sequence[Listing], sessions: Sequence[date]) -> pd.DataFrame:
    """Every listed security without a bar, session by session."""
    days = np.array([truth.compact(day) for day in sessions], dtype=object)
    has_bar = set(zip(daily["ts_code"], daily["trade_date"], strict=True))
    rows = []
    for each in listings:
        first = truth.compact(each.list_date)
        end = truth.compact(each.delist_date or date.max)
        rows += [
            (each.ts_code, day) for day in days.tolist() if first <= day < end and (each.ts_code, day) not in has_bar
        ]
    frame = pd.DataFrame(rows, columns=["ts_code", "trade_date"], dtype=object)
    return frame.assign(suspend_timing=None, suspend_type="S").astype(object)


def _read_macro(folder: Path) -> dict[str, MacroSeries]:
    copies = _read_copies(folder / "snapshots")
    series = {}
    for path in sorted(folder.glob("*.csv")):
        if path.stem in market_macro.PLANS:
            final = _read_values(path)
            series[path.stem] = _series(path.stem, final, sorted(copies.get(path.stem, {}).items()))
    if not series:
        raise errors.ConfigError(f"{folder} has no FRED series. Complete the folder, or leave out --data.")
    return series


def _read_copies(folder: Path) -> dict[str, dict[date, dict[date, str]]]:
    """Values of series as they stood on a day, from files named `<series_id>_asof_<day>.csv`."""
    copies: dict[str, dict[date, dict[date, str]]] = {}
    for path in sorted(folder.glob("*_asof_*.csv")):
        series_id, _, day = path.stem.partition("_asof_")
        copies.setdefault(series_id, {})[date.fromisoformat(day)] = _read_values(path)
    return copies


def _read_values(path: Path) -> dict[date, str]:
    """The published text of each period; a copy may write 131011.0 where FRED writes 131011."""
    values = {}
    for line in path.read_text("utf-8").splitlines()[1:]:
        day, _, text = line.partition(",")
        text = text.strip()
        values[date.fromisoformat(day)] = "" if text in ("", ".") else text.removesuffix(".0")
    return values


def _series(series_id: str, final: dict[date, str], copies: Sequence[tuple[date, dict[date, str]]]) -> MacroSeries:
    """A series with the values of its dated copies as earlier prints, replaced the day after the copy was made."""
    plan = market_macro.PLANS[series_id]
    days = tuple(sorted(final))
    versions = [*(values for _, values in copies), final]
    starts = [None, *(day + timedelta(days=1) for day, _ in copies)]
    released = np.full((len(versions), len(days)), NEVER, dtype=np.int64)
    for at, day in enumerate(days):
        out = market_macro.release_day(plan.frequency, plan.lag_days, day)
        shown: str | None = None
        for number, (values, start) in enumerate(zip(versions, starts, strict=True)):
            text = values.get(day)
            if text is None or (shown is not None and float(text or "nan") == float(shown or "nan")):
                continue
            is_first = shown is None
            shown = text
            released[number, at] = out.toordinal() if is_first or start is None else max(out, start).toordinal()
    prints = tuple(
        Prints(released[number], tuple(values.get(day, "") for day in days)) for number, values in enumerate(versions)
    )
    return MacroSeries(series_id, days, prints, market_macro.ROLLING_YEARS.get(series_id))


def _day(text: str) -> date:
    return datetime.strptime(text, "%Y%m%d").date()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
