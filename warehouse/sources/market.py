"""What do the simulated vendors know when there is no real data? A seeded A-share market with known answers.

Planted: four equity factors, a little predictability, ex-rights days, suspensions, listings and delistings, macro
factors, and anomalies with an answer key, some of them in the last two sessions. The same seed gives the same bytes.
Partners: `market_bars.py` (prices), `market_macro.py` (FRED), `market_folder.py` (real data instead).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from warehouse.sources import market_bars, market_calendar, market_macro, market_names, market_sheets
from warehouse.sources.market_bars import Flags
from warehouse.sources.truth import Anomaly, Listing, MarketTruth

FEWEST_SYMBOLS, FEWEST_SESSIONS = 20, 20
# Centre of each group's exposures to the three factors behind the market's: finance, consumers, technology, resources.
GROUP_LOADINGS = np.array([[1.3, 0.2, -0.9], [-0.2, 1.4, 0.3], [-1.2, -0.4, -0.6], [0.4, -1.0, 1.4]])
LOADING_SPREAD = 0.45
# Anomalies also stand this far into the window, for whoever looks at history.
EARLIER_ANOMALIES = (0.35, 0.6, 0.8)
LAST_DAY_KINDS = ("adj_factor_misfit", "return_outlier", "price_order")
DAY_BEFORE_KINDS = ("limit_break", "pct_chg_mismatch", "volume_burst")
FORCED_RETURNS = {"limit_break": (0.134, -0.127), "return_outlier": (0.192, -0.19)}
SESSIONS_WITHOUT_LIMIT = 5
# No vendor's list of delisted securities is empty; this one went before any window. No board draws its code.
GONE_BEFORE = Listing("604001.SH", "退市华昌", "上海", "普钢", "TSHC", "主板", date(1993, 5, 4), date(2001, 4, 23))


@dataclass(frozen=True)
class Lives:
    """Session number of the first bar, and of the first session without, of each security: arrays of (n_symbols,)."""

    first: npt.NDArray[np.int64]
    stop: npt.NDArray[np.int64]


def synthetic_market(
    *, seed: int = 7, n_symbols: int = 240, n_sessions: int = 420, end_date: date = date(2026, 11, 20)
) -> MarketTruth:
    """A whole market with its answer key, and FRED beside it.

    Args:
        seed: the same seed gives the same market.
        n_symbols: securities that ever trade in the window.
        n_sessions: sessions of the window.
        end_date: last day of the window; the last session is on or before it.

    Raises:
        ValueError: too few securities or sessions to plant anything, or more sessions than the calendar knows.
    """
    if n_symbols < FEWEST_SYMBOLS or n_sessions < FEWEST_SESSIONS:
        raise ValueError(
            f"The synthetic market was asked for {n_symbols} securities and {n_sessions} sessions. Ask for at least "
            f"{FEWEST_SYMBOLS} and {FEWEST_SESSIONS}, so that factors and anomalies can be planted."
        )
    sessions = market_calendar.sessions_until(end_date, n_sessions)
    rng = np.random.default_rng(seed)
    people = market_names.draw_securities(rng, n_symbols)
    lives = _draw_lives(rng, n_symbols, n_sessions)
    traits = _draw_traits(rng, people)
    schedule = _draw_schedule(rng, sessions, lives)
    anomalies = _plan_anomalies(rng, sessions, people, (lives, schedule))
    factor_returns = market_bars.draw_factor_returns(rng, n_sessions)
    bars = market_bars.simulate_bars(rng, traits, schedule, factor_returns)
    sheets = market_sheets.sheets_from_bars(
        rng, market_sheets.Grid(sessions, people.ts_codes, lives.first, lives.stop), (traits, schedule, bars), anomalies
    )
    macro = market_macro.draw_macro(np.random.default_rng([seed, 1]), end_date)
    return MarketTruth(
        name=f"synthetic market, seed {seed}",
        session_dates=sessions,
        ts_codes=people.ts_codes,
        sheets=sheets,
        listings=_list_securities(rng, sessions, people, lives),
        calendar=market_calendar.calendar_between(
            date(market_calendar.FIRST_YEAR, 1, 1), date(end_date.year + 1, 12, 31)
        ),
        macro=macro.series,
        anomalies=tuple(sorted(anomalies, key=lambda each: (each.trade_date, each.ts_code))),
        factor_returns=factor_returns,
        factor_loadings=traits.loadings,
        macro_factors=macro.factors,
        macro_months=macro.months,
    )


def _draw_lives(rng: np.random.Generator, n_symbols: int, n_sessions: int) -> Lives:
    first = np.zeros(n_symbols, dtype=np.int64)
    stop = np.full(n_symbols, n_sessions, dtype=np.int64)
    n_new, n_gone = max(1, n_symbols // 60), max(1, n_symbols // 80)
    chosen = rng.choice(n_symbols, n_new + n_gone, replace=False)
    first[chosen[:n_new]] = rng.integers(n_sessions // 3, n_sessions - 8, n_new)
    stop[chosen[n_new:]] = rng.integers(n_sessions // 3, n_sessions - 8, n_gone)
    return Lives(first, stop)


def _draw_traits(rng: np.random.Generator, people: market_names.Securities) -> market_bars.Traits:
    n = len(people.ts_codes)
    loadings = np.empty((n, len(market_bars.FACTOR_VOLATILITY)))
    loadings[:, 0] = rng.normal(1.0, 0.2, n)
    loadings[:, 1:] = GROUP_LOADINGS[people.groups] + rng.normal(0.0, LOADING_SPREAD, (n, loadings.shape[1] - 1))
    first_price = market_bars.to_fen(np.clip(np.exp(rng.normal(2.7, 0.7, n)), 3.0, 250.0))
    return market_bars.Traits(
        loadings=loadings,
        noise_volatility=np.clip(np.exp(rng.normal(np.log(0.0135), 0.15, n)), 0.009, 0.019),
        first_price=first_price,
        total_shares=np.round(np.exp(rng.normal(23.6, 0.8, n)) / first_price, -2),
        float_fraction=rng.uniform(0.35, 1.0, n),
        turnover=np.exp(rng.normal(0.1, 0.6, n)),
        limit=np.where(people.is_wide_limit, 0.2, 0.1),
        first_factor=np.asarray(
            np.round(np.exp(rng.uniform(0.0, 3.0, n)), market_bars.FACTOR_DECIMALS), dtype=np.float64
        ),
    )


def _draw_schedule(rng: np.random.Generator, sessions: tuple[date, ...], lives: Lives) -> market_bars.Schedule:
    shape = (len(sessions), len(lives.first))
    number = np.arange(shape[0])[:, None]
    is_listed = (number >= lives.first) & (number < lives.stop)
    has_no_limit = (lives.first > 0) & is_listed & (number < lives.first + SESSIONS_WITHOUT_LIMIT)
    has_bar = is_listed & ~_draw_suspensions(rng, shape) | has_no_limit
    cash_yield, bonus = np.zeros(shape), np.zeros(shape)
    months = np.array([day.month for day in sessions])
    years = np.array([day.year for day in sessions])
    # Most dividends go ex after the annual reports, some after the half-year ones.
    for year in np.unique(years):
        for season, share in (((5, 6, 7), 0.65), ((9, 10), 0.15)):
            days = np.flatnonzero((years == year) & np.isin(months, season))
            payers = np.flatnonzero(rng.random(shape[1]) < share)
            if len(days):
                at = (rng.choice(days, len(payers)), payers)
                cash_yield[at] = rng.uniform(0.004, 0.04, len(payers))
                bonus[at] = np.where(rng.random(len(payers)) < 0.08, rng.choice([0.2, 0.3, 0.4, 1.0], len(payers)), 0)
    return market_bars.Schedule(has_bar, has_no_limit, cash_yield, bonus, np.full(shape, np.nan), np.ones(shape))


def _draw_suspensions(rng: np.random.Generator, shape: tuple[int, int]) -> Flags:
    """Whole-day suspensions: a few at random, and always two securities over the last three sessions."""
    suspended = np.zeros(shape, dtype=np.bool_)
    starts = np.argwhere(rng.random(shape) < 0.0006)
    for (day, symbol), length in zip(starts, rng.integers(1, 11, len(starts)), strict=True):
        suspended[day : day + length, symbol] = True
    suspended[-3:, rng.choice(shape[1], 2, replace=False)] = True
    return suspended


def _plan_anomalies(
    rng: np.random.Generator,
    sessions: tuple[date, ...],
    people: market_names.Securities,
    plan: tuple[Lives, market_bars.Schedule],
) -> tuple[Anomaly, ...]:
    """The answer key; returns and volumes that must come true are entered in the schedule on the way."""
    lives, schedule = plan
    n_sessions = len(sessions)
    kinds = LAST_DAY_KINDS + DAY_BEFORE_KINDS
    wanted = [(int(n_sessions * share), kind) for share in EARLIER_ANOMALIES for kind in kinds]
    wanted += [(n_sessions - 2, kind) for kind in DAY_BEFORE_KINDS] + [
        (n_sessions - 1, kind) for kind in LAST_DAY_KINDS
    ]
    planted: list[Anomaly] = []
    taken: set[tuple[int, int]] = set()
    for count, (day, kind) in enumerate(wanted):
        near = slice(max(day - 2, 0), day + 2)
        is_calm = schedule.has_bar[near].all(axis=0) & (schedule.cash_yield[near] == 0).all(axis=0)
        is_fit = is_calm & (lives.first == 0) & (lives.stop == n_sessions)
        # A move of 19 % is an outlier only where the exchange allows it; a limit breaks sooner where it is narrow.
        is_fit &= people.is_wide_limit if kind == "return_outlier" else ~people.is_wide_limit
        free = [int(at) for at in np.flatnonzero(is_fit) if not {(day - 1, int(at)), (day, int(at))} & taken]
        if not free:
            continue
        symbol = int(rng.choice(free))
        taken.add((day, symbol))
        if kind in FORCED_RETURNS:
            schedule.forced_return[day, symbol] = FORCED_RETURNS[kind][count % 2]
        if kind == "volume_burst":
            schedule.volume_multiple[day, symbol] = 15.0
        planted.append(Anomaly(kind, people.ts_codes[symbol], sessions[day], market_sheets.ANOMALY_NOTES[kind]))
    return tuple(planted)


def _list_securities(
    rng: np.random.Generator, sessions: tuple[date, ...], people: market_names.Securities, lives: Lives
) -> tuple[Listing, ...]:
    listings = []
    days_before = rng.uniform(0.02, 1.0, len(people.ts_codes))
    for at, ts_code in enumerate(people.ts_codes):
        # A board lists nothing before it opened.
        span = (sessions[0] - people.boards[at].opened).days
        listed = sessions[0] - timedelta(days=max(60, int(span * days_before[at])))
        if lives.first[at] > 0:
            listed = sessions[lives.first[at]]
        gone = sessions[lives.stop[at]] if lives.stop[at] < len(sessions) else None
        listings.append(
            Listing(
                ts_code,
                people.names[at],
                people.areas[at],
                people.industries[at],
                people.spellings[at],
                people.boards[at].name,
                listed,
                gone,
            )
        )
    return (*listings, GONE_BEFORE)
