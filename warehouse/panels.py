"""Matrices as of a day: the only door through which data leaves for models.

Invariant: nothing known after `as_of` enters a panel, and a macro cell holds only what was published by the end of its
month. Rows are dates ascending, columns are names ascending, missing is NaN. Partner: `flows/scoring.py`, which hands
these panels to models.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from warehouse import hindsight, sql
from warehouse.lake import Lake
from warehouse.tables import feature

Floats = npt.NDArray[np.float64]

# A macro value stands in for later months until its successor is due: two months for a monthly series, and for a
# quarterly one six, since a quarter's first print comes a month after the quarter and stands for three.
OLDEST_PERIOD_MONTHS = {"M": 2, "Q": 6}

# FRED-MD's codes 3, 6 and 7 are made from a period and the two before it (McCracken and Ng 2016).
TRANSFORM_LOOKBACK_PERIODS = 2


@dataclass(frozen=True, slots=True)
class Panel:
    """A matrix with the names of its rows and columns.

    Args:
        data: (n_dates, n_names) float64, NaN where missing.
        dates: (n_dates,) datetime64[D], ascending.
        names: column names, ascending.
    """

    data: Floats
    dates: npt.NDArray[np.datetime64]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """The cross-section in long form, sorted by date and security.

    Args:
        ts_code: (n_rows,) securities.
        dates: (n_rows,) datetime64[D].
        features: (n_rows, n_features) float64, NaN where missing, columns as `feature.FEATURE_NAMES`.
        forward_return_5d: (n_rows,) log return over the security's next five sessions, NaN where not yet known.
    """

    ts_code: npt.NDArray[np.object_]
    dates: npt.NDArray[np.datetime64]
    features: Floats
    forward_return_5d: Floats


def read_macro_values(lake: Lake, as_of: date) -> pa.Table:
    """Untransformed values of the panel's series as they stood on `as_of`.

    Returns:
        Rows (series_id, frequency `M` or `Q`, transform_code, observation_date, value, known_date), sorted by series
        and period; daily and weekly series as means of complete months.

    Raises:
        LakeError: the lake cannot be read.
    """
    return lake.read(sql.load("macro_values_asof"), as_of=as_of)


def align_by_knowledge(values: pa.Table, as_of: date, *, min_share: float = 0.5) -> tuple[Panel, pa.Table]:
    """A monthly panel whose every cell is the newest value known at that month's end.

    Args:
        values: rows of `read_macro_values` with `value` transformed; NULL or NaN where missing.
        as_of: knowledge date; the last row is the last month ended by then.
        min_share: a month is kept when at least this share of the series has a value.

    Returns:
        The panel, and the same as rows of feature.macro_panel.

    Raises:
        LakeError: never; the input is already in memory.
    """
    if not values.num_rows:
        return Panel(np.empty((0, 0)), np.empty(0, "datetime64[D]"), ()), feature.MACRO_PANEL.empty()
    frame = values.to_pandas().sort_values(["series_id", "observation_date"])
    frame["period"] = frame["observation_date"].to_numpy().astype("datetime64[M]")
    frame["known"] = frame["known_date"].to_numpy().astype("datetime64[D]")
    names = tuple(sorted(frame["series_id"].unique()))
    end = np.datetime64(as_of, "D")
    last = (end + 1).astype("datetime64[M]") - 1
    months = np.arange(frame["period"].to_numpy().astype("datetime64[M]").min(), last + 1)
    month_ends = (months + 1).astype("datetime64[D]") - 1
    data = np.full((len(months), len(names)), np.nan)
    periods = np.full(data.shape, np.datetime64("NaT"), dtype="datetime64[M]")
    for column, name in enumerate(names):
        rows = frame[frame["series_id"] == name]
        limit = OLDEST_PERIOD_MONTHS[str(rows["frequency"].iloc[0])]
        newest = _newest_known(rows["known"].to_numpy().astype("datetime64[D]"), month_ends)
        found = newest >= 0
        period = rows["period"].to_numpy().astype("datetime64[M]")[np.maximum(newest, 0)]
        found &= (months - period).astype(int) <= limit
        data[found, column] = rows["value"].to_numpy(dtype=np.float64)[newest[found]]
        periods[found, column] = period[found]
    keep = np.isfinite(data).mean(axis=1) >= min_share
    panel = Panel(data[keep], months[keep].astype("datetime64[D]"), names)
    return panel, _panel_rows(panel, periods[keep], as_of)


def _newest_known(known: npt.NDArray[np.datetime64], days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.intp]:
    """Index of the newest period usable on each day, -1 where none is; `known` has one day per period, in order.

    A transformed value is made from its own period and those before it, so it is usable when all of them are known:
    a hole filled late delays its successors.
    """
    usable = known.copy()
    for lag in range(1, TRANSFORM_LOOKBACK_PERIODS + 1):
        usable[lag:] = np.maximum(usable[lag:], known[:-lag])
    order = np.argsort(usable, kind="stable")
    newest = np.r_[np.intp(-1), np.maximum.accumulate(order)]
    return newest[np.searchsorted(usable[order], days, side="right")]


def _panel_rows(panel: Panel, periods: npt.NDArray[np.datetime64], as_of: date) -> pa.Table:
    n_dates, n_names = panel.data.shape
    value = panel.data.ravel()
    return feature.MACRO_PANEL.conform(
        pa.table(
            {
                "as_of_date": pa.array([as_of] * (n_dates * n_names), pa.date32()),
                "panel_month": pa.array(np.repeat(panel.dates, n_names)),
                "series_id": pa.array(list(panel.names) * n_dates),
                "observation_date": pa.array(periods.ravel().astype("datetime64[D]")),
                "value": pa.array(value, mask=~np.isfinite(value)),
            }
        )
    )


def read_return_panel(lake: Lake, as_of: date, *, n_sessions: int, min_share: float = 0.9) -> Panel:
    """One-day log returns of the last sessions, securities with too many holes left out.

    Args:
        lake: the lake.
        as_of: last session that may enter.
        n_sessions: sessions wanted; fewer when the lake is younger.
        min_share: a security is kept when it has a return on at least this share of the sessions.

    Returns:
        (n_sessions, n_securities), NaN on suspended days.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = _read_recent_returns(lake, as_of, n_sessions)
    codes = rows["ts_code"].to_numpy(zero_copy_only=False).astype(str)
    dates = rows["trade_date"].to_numpy(zero_copy_only=False).astype("datetime64[D]")
    sessions, row = np.unique(dates, return_inverse=True)
    names, column = np.unique(codes, return_inverse=True)
    data = np.full((len(sessions), len(names)), np.nan)
    data[row, column] = rows["log_return_1d"].to_numpy(zero_copy_only=False)
    keep = np.isfinite(data).mean(axis=0) >= min_share if len(sessions) else np.zeros(0, dtype=bool)
    return Panel(data[:, keep], sessions, tuple(names[keep].tolist()))


def _read_recent_returns(lake: Lake, as_of: date, n_sessions: int) -> pa.Table:
    """ts_code, trade_date and log_return_1d of the last sessions, as known on `as_of`."""
    if hindsight.is_corrected_since(lake, as_of):
        rows = hindsight.recompute_returns(lake, as_of).select(["ts_code", "trade_date", "log_return_1d"])
        recent = sorted(set(rows["trade_date"].to_pylist()))[-n_sessions:]
        is_recent = pc.is_in(rows["trade_date"], pa.array(recent, pa.date32()))
        return rows.filter(pc.and_(is_recent, pc.is_valid(rows["log_return_1d"])))
    return lake.read(
        """
        with recent as (
            select distinct trade_date from feature.log_return where trade_date <= $as_of
            order by trade_date desc limit $n_sessions
        )
        select ts_code, trade_date, log_return_1d
        from feature.log_return join recent using (trade_date)
        where log_return_1d is not null
        order by trade_date, ts_code
        """,
        as_of=as_of,
        n_sessions=n_sessions,
    )


def read_feature_rows(lake: Lake, as_of: date, *, start: date | None = None) -> FeatureRows:
    """Features of every bar up to `as_of`, each beside the return that followed it, as far as known by then.

    Args:
        lake: the lake.
        as_of: last session that may enter, as a feature or inside a forward return.
        start: first session wanted; None for all.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = _read_features(lake, as_of, start)
    # Column by column, as the rows of a whole market are a gigabyte.
    features = np.empty((rows.num_rows, len(feature.FEATURE_NAMES)))
    for at, name in enumerate(feature.FEATURE_NAMES):
        features[:, at] = rows[name].to_numpy(zero_copy_only=False)
    return FeatureRows(
        rows["ts_code"].to_numpy(zero_copy_only=False),
        rows["trade_date"].to_numpy(zero_copy_only=False).astype("datetime64[D]"),
        features,
        rows["forward_return_5d"].to_numpy(zero_copy_only=False).astype(np.float64),
    )


def read_industries(lake: Lake, as_of: date) -> dict[str, str]:
    """Industry of each security as it was known on `as_of`, "" where the vendor gives none.

    The vendor keeps no history: it is what the vendor said then, also for sessions long before.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(sql.load("industry_asof"), as_of=as_of)
    return dict(zip(rows["ts_code"].to_pylist(), rows["industry"].to_pylist(), strict=True))


def _read_features(lake: Lake, as_of: date, start: date | None) -> pa.Table:
    """ts_code, trade_date, every feature and forward_return_5d, as known on `as_of`, by session and security."""
    if hindsight.is_corrected_since(lake, as_of):
        found, computed = hindsight.recompute_features(lake, as_of)
        ahead = _five_rows_ahead(computed["ts_code"].to_pylist(), computed["log_return_5d"].to_pylist())
        rows = found.append_column("forward_return_5d", pa.array(ahead, pa.float64()))
        if start is not None:
            rows = rows.filter(pc.greater_equal(rows["trade_date"], pa.scalar(start, pa.date32())))
        return rows.sort_by([("trade_date", "ascending"), ("ts_code", "ascending")])
    columns = ", ".join(f"f.{name}" for name in feature.FEATURE_NAMES)
    return lake.read(
        f"""
        with ahead as (
            select ts_code, trade_date,
                lead(log_return_5d, 5) over (partition by ts_code order by trade_date) as forward_return_5d
            from feature.log_return
            where trade_date <= $as_of
        )
        select f.ts_code, f.trade_date, {columns}, ahead.forward_return_5d
        from feature.feature as f join ahead using (ts_code, trade_date)
        where f.trade_date between coalesce($start, date '1900-01-01') and $as_of
        order by f.trade_date, f.ts_code
        """,
        as_of=as_of,
        start=start,
    )


def _five_rows_ahead(codes: list[str], values: list[float | None]) -> list[float | None]:
    """The value five rows further on within the same security, None where there is none yet."""
    last = len(codes) - 5
    return [values[at + 5] if at < last and codes[at + 5] == codes[at] else None for at in range(len(codes))]
