"""How do prices, factors and volumes of the synthetic market come about, session by session?

Log returns are planted factors times loadings plus noise of each security; the noise leans a little against its own
last five sessions and against high turnover, so that a forecast has something honest and small to find. Invariants:
prices are whole fen, bars are in order and inside the exchange's limit, and close[t-1] x factor[t-1] / factor[t] is
pre_close[t] to half a fen, t-1 being the security's previous bar. Partner: `market.py`, which plans who trades when.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# Standard deviations of the planted factors, per day; the market's first, as of a calm A-share year.
FACTOR_VOLATILITY = (0.0105, 0.0062, 0.0058, 0.0054)
# Shift of the expected daily noise, in its standard deviations, per standard deviation of the cause.
REVERSAL_TILT = 0.035
TURNOVER_TILT = 0.028
REVERSAL_WINDOW = 5
# Student's t gives fat tails; the cut keeps chance from looking like a planted outlier.
NOISE_FREEDOM = 8
NOISE_CUT = 4.0
# Factors carry more decimals than the vendor's, so that the identity above holds to half a fen at 300 CNY too.
FACTOR_DECIMALS = 6


@dataclass(frozen=True)
class Traits:
    """What stays the same about each security; arrays of (n_symbols,), loadings (n_symbols, n_factors).

    Args:
        loadings: exposures to the factors.
        noise_volatility: standard deviation of a day's own noise.
        first_price: CNY before the first session.
        total_shares: shares in issue before the first session.
        float_fraction: share of them that trades.
        turnover: usual turnover a day, percent of the float.
        limit: price limit as a fraction.
        first_factor: adjustment factor before the first session.
    """

    loadings: Floats
    noise_volatility: Floats
    first_price: Floats
    total_shares: Floats
    float_fraction: Floats
    turnover: Floats
    limit: Floats
    first_factor: Floats


@dataclass(frozen=True)
class Schedule:
    """What happens when; arrays of (n_sessions, n_symbols).

    Args:
        has_bar: whether the security trades.
        has_no_limit: the first five sessions after listing.
        cash_yield: dividend going ex, as a fraction of the previous close.
        bonus: new shares going ex, per share.
        forced_return: simple return that ignores noise and limit; NaN elsewhere.
        volume_multiple: how many times the usual volume.
    """

    has_bar: Flags
    has_no_limit: Flags
    cash_yield: Floats
    bonus: Floats
    forced_return: Floats
    volume_multiple: Floats


@dataclass(frozen=True)
class Bars:
    """The market as it happened; arrays of (n_sessions, n_symbols), defined where the security trades.

    Prices are CNY, `volume` lots of 100 shares, `amount` thousand CNY, `turnover` percent of the float. `factor` and
    `total_shares` also stand on days without trading.
    """

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    pre_close: Floats
    factor: Floats
    volume: Floats
    amount: Floats
    turnover: Floats
    total_shares: Floats


def draw_factor_returns(rng: np.random.Generator, n_sessions: int) -> Floats:
    """Daily log returns of the planted factors, (n_sessions, n_factors), calm and stormy spells included."""
    n_factors = len(FACTOR_VOLATILITY)
    mood = np.zeros(n_sessions)
    steps = rng.normal(0.0, 0.08, n_sessions)
    for day in range(1, n_sessions):
        mood[day] = 0.97 * mood[day - 1] + steps[day]
    returns: Floats = rng.normal(size=(n_sessions, n_factors)) * np.array(FACTOR_VOLATILITY) * np.exp(mood)[:, None]
    returns[:, 0] += 0.0002
    return returns


def simulate_bars(rng: np.random.Generator, traits: Traits, schedule: Schedule, factor_returns: Floats) -> Bars:
    """The bars that follow from who is exposed to what, and what happens when.

    Args:
        rng: source of all noise.
        traits: the securities.
        schedule: what happens when.
        factor_returns: (n_sessions, n_factors) daily log returns.
    """
    shape = schedule.has_bar.shape
    log_returns = _draw_log_returns(rng, traits, schedule, factor_returns)
    close, pre_close, factor, shares = (np.empty(shape) for _ in range(4))
    ceiling, floor = np.empty(shape), np.empty(shape)
    last = (traits.first_price, traits.first_factor, traits.total_shares)
    for day in range(shape[0]):
        has_bar = schedule.has_bar[day]
        before, factor_before, shares_before = last
        goes_ex = has_bar & ((schedule.cash_yield[day] > 0) | (schedule.bonus[day] > 0))
        cash = to_fen(before * schedule.cash_yield[day])
        ex_price = to_fen((before - cash) / (1.0 + schedule.bonus[day]))
        pre_close[day] = np.where(goes_ex, ex_price, before)
        factor[day] = np.where(
            goes_ex, np.round(factor_before * before / pre_close[day], FACTOR_DECIMALS), factor_before
        )
        shares[day] = np.where(goes_ex, np.round(shares_before * (1.0 + schedule.bonus[day])), shares_before)
        forced = schedule.forced_return[day]
        is_free = schedule.has_no_limit[day] | ~np.isnan(forced)
        ceiling[day] = np.where(is_free, np.inf, to_fen(pre_close[day] * (1.0 + traits.limit)))
        floor[day] = np.where(is_free, 0.01, to_fen(pre_close[day] * (1.0 - traits.limit)))
        move = np.where(np.isnan(forced), np.exp(log_returns[day]), 1.0 + np.nan_to_num(forced))
        close[day] = np.where(has_bar, np.clip(to_fen(pre_close[day] * move), floor[day], ceiling[day]), before)
        last = (close[day], factor[day], shares[day])
    low, opened, high = _draw_ranges(rng, pre_close, close, floor, ceiling)
    volume, amount, turnover = _draw_trading(rng, traits, schedule, (close / pre_close, low, high, shares))
    return Bars(opened, high, low, close, pre_close, factor, volume, amount, turnover, shares)


def to_fen(price: Floats) -> Floats:
    """Prices rounded to 0.01 CNY, halves up as the exchange does for its limits."""
    # The small term undoes binary representation: 11.055 is stored as 11.0549999.
    fen: Floats = np.floor(price * 100.0 + 0.5 + 1e-7) / 100.0
    return fen


def _draw_log_returns(rng: np.random.Generator, traits: Traits, schedule: Schedule, factor_returns: Floats) -> Floats:
    shape = schedule.has_bar.shape
    noise = rng.standard_t(NOISE_FREEDOM, shape) * np.sqrt((NOISE_FREEDOM - 2) / NOISE_FREEDOM)
    noise = np.clip(noise, -NOISE_CUT, NOISE_CUT)
    own = np.zeros((shape[0] + REVERSAL_WINDOW, shape[1]))
    turnover_tilt = -TURNOVER_TILT * _standardised(np.log(traits.turnover))
    for day in range(shape[0]):
        past = own[day : day + REVERSAL_WINDOW].sum(axis=0) / traits.noise_volatility
        shift = turnover_tilt - REVERSAL_TILT * _standardised(past)
        own[day + REVERSAL_WINDOW] = traits.noise_volatility * (noise[day] + shift) * schedule.has_bar[day]
    log_returns: Floats = factor_returns @ traits.loadings.T + own[REVERSAL_WINDOW:]
    # A new share finds its price in its first sessions, mostly upwards.
    return log_returns + np.where(schedule.has_no_limit, rng.normal(0.04, 0.06, shape), 0.0)


def _draw_ranges(
    rng: np.random.Generator, pre_close: Floats, close: Floats, floor: Floats, ceiling: Floats
) -> tuple[Floats, Floats, Floats]:
    """Low, open and high around each close, inside the limits."""
    shape = close.shape
    gap = 0.3 * np.log(close / pre_close) + rng.normal(0.0, 0.004, shape)
    opened = np.clip(to_fen(pre_close * np.exp(gap)), floor, ceiling)
    reach = np.abs(rng.normal(0.0, 0.007, (2, *shape)))
    high = np.minimum(to_fen(np.maximum(opened, close) * np.exp(reach[0])), ceiling)
    low = np.maximum(to_fen(np.minimum(opened, close) * np.exp(-reach[1])), floor)
    return np.maximum(low, 0.01), opened, high


def _draw_trading(
    rng: np.random.Generator, traits: Traits, schedule: Schedule, of_day: tuple[Floats, Floats, Floats, Floats]
) -> tuple[Floats, Floats, Floats]:
    """Volume (lots), amount (thousand CNY) and turnover (percent) given move, low, high and shares."""
    move, low, high, shares = of_day
    shape = move.shape
    habit = np.zeros(shape[1])
    shocks = rng.normal(0.0, 0.3, shape)
    busy = np.empty(shape)
    for day in range(shape[0]):
        habit = 0.7 * habit + shocks[day]
        busy[day] = habit
    turnover = np.minimum(traits.turnover * np.exp(0.5 * busy + 8.0 * np.abs(np.log(move))), 25.0)
    turnover *= schedule.volume_multiple
    float_shares = shares * traits.float_fraction
    volume = np.maximum(np.round(turnover / 100.0 * float_shares / 100.0, 2), 1.0)
    mean_price = low + (high - low) * rng.uniform(0.25, 0.75, shape)
    amount = np.round(volume * 100.0 * mean_price / 1000.0, 3)
    return volume, amount, np.round(volume * 100.0 / float_shares * 100.0, 4)


def _standardised(values: Floats) -> Floats:
    spread = float(values.std())
    centred: Floats = values - values.mean()
    return centred / spread if spread > 0 else centred
