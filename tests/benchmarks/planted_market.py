"""Anomalies planted in the synthetic market, and the key that says where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models import market_moves
from warehouse.sources import market as synthetic

KINDS = ("jump", "volume_burst", "broken_correlation")
# A move of six to nine of a security's usual days; five to ten times its usual turnover; a month on its own.
JUMP, BURST = (6.0, 9.0), (5.0, 10.0)


def matrices(truth):
    """What was traded, by security and session, from the vendor's own tables."""
    columns = truth.sheets["daily"].columns
    rows = {code: at for at, code in enumerate(truth.ts_codes)}
    days = {f"{day:%Y%m%d}": at for at, day in enumerate(truth.session_dates)}
    cell = [rows[code] for code in columns["ts_code"]], [days[day] for day in columns["trade_date"]]
    shape = len(rows), len(days)

    def matrix(values):
        out = np.full(shape, np.nan)
        out[cell] = values
        return out

    close, before, high, low, amount = (
        np.asarray(columns[name], float) for name in ("close", "pre_close", "high", "low", "amount")
    )
    industries = {one.ts_code: one.industry for one in truth.listings}
    sector = np.unique([industries[code] for code in truth.ts_codes], return_inverse=True)[1]
    with np.errstate(divide="ignore"):
        log_range = np.log(np.maximum(high / low, 1.0005))
    return market_moves.Moves(matrix(np.log(close / before)), matrix(np.log(amount)), matrix(log_range), sector)


def plant(moves, rng, session, n_each):
    """The moves up to a session with anomalies planted in it, and the rows of each kind.

    A jump and a burst are of the session itself. A broken correlation is of the `RECENT` sessions up to it: the
    security's returns of these sessions in another order, so that neither their size nor anything else tells.
    """
    cut = slice(0, session + 1)
    parts = {name: getattr(moves, name)[:, cut].copy() for name in ("log_return", "log_amount", "log_range")}
    returns = parts["log_return"]
    whole = np.flatnonzero(np.isfinite(returns).all(axis=1))
    chosen = rng.choice(whole, (len(KINDS), n_each), replace=False)
    usual = np.zeros(len(returns))
    usual[whole] = np.median(np.abs(returns[whole]), axis=1) * 1.4826
    jumps, bursts, broken = chosen
    size = rng.uniform(*JUMP, n_each) * rng.choice((-1.0, 1.0), n_each)
    returns[jumps, -1] += size * usual[jumps]
    parts["log_range"][jumps, -1] = np.logaddexp(parts["log_range"][jumps, -1], np.log(np.abs(size * usual[jumps])))
    parts["log_amount"][bursts, -1] += np.log(rng.uniform(*BURST, n_each))
    for row in broken:
        returns[row, -market_moves.RECENT :] = rng.permutation(returns[row, -market_moves.RECENT :])
    return replace(moves, **parts), dict(zip(KINDS, chosen, strict=True))


def synthetic_moves(seed, n_symbols, n_sessions):
    """A synthetic market as matrices, and the sessions in which it has anomalies of its own."""
    truth = synthetic.synthetic_market(seed=seed, n_symbols=n_symbols, n_sessions=n_sessions)
    days = {day: at for at, day in enumerate(truth.session_dates)}
    return matrices(truth), {days[one.trade_date] for one in truth.anomalies}
