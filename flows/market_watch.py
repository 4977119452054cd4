"""Which securities did something today that is unlike their own past and unlike what the others did?

Features of each security's day are scored by several detectors, the detectors combined by rank among the sessions
before, and the threshold set there so that the wanted number of alerts comes about on a usual day. Invariant: nothing
later than the session is read. Partners: `models/market_moves.py`, `models/combined.py`, `models/thresholds.py`;
`detecting.py`, which makes alerts of the findings.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flows.settings import Settings
from models import base, combined, market_moves, thresholds
from warehouse import checks, derive, matrices
from warehouse.lake import Lake
from warehouse.tables import feature, market

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

RULE = "market_anomaly"
# A year of the past to measure against, of which two months say what is usual.
SESSIONS, USUAL_SESSIONS = 250, 40
FEWEST_SESSIONS = max(market_moves.FEWEST_SESSIONS, USUAL_SESSIONS + 1 + market_moves.RECENT)
# More usual rows than these move no threshold, and take seconds.
MOST_USUAL_ROWS = 50_000
# A bar whose high is its low has no logarithm of a range: half a fen on ten yuan.
SMALLEST_RANGE = 0.0005
# On a day of panic hundreds are strange; the list is for reading, the report's figures show the rest.
MOST_ALERTS_A_DAY = 20
N_DRIVERS = 3
WORDS = {
    "return_z": "return against its sector",
    "residual_z": "return against what it moves with",
    "amount_z": "turnover",
    "range_z": "range of the day",
    "residual_growth_z": "a month of moves of its own",
    "decoupling_z": "a month without its usual company",
}


@dataclass(frozen=True)
class Watched:
    """A session's securities, scored.

    Args:
        ts_codes: (n_rows,) those that could be measured.
        scores: (n_rows,) higher is more abnormal, see `combined.RankCombination.score`.
        drivers: (n_rows, n_features) how far out each feature is, in deviations.
        threshold: score above which a security is an alert.
        usual_alerts: alerts a session that this threshold would have given in the sessions before, on average.
        before: scores of each session before, by which a threshold is set.
    """

    ts_codes: npt.NDArray[np.object_]
    scores: Floats
    drivers: Floats
    threshold: float
    usual_alerts: float
    before: tuple[Floats, ...] = ()

    def strangest(self, threshold: float, told: Collection[str] = ()) -> list[int]:
        """The rows above a threshold that become alerts, the strangest first.

        Args:
            threshold: see `threshold_of`.
            told: securities that another finding of the session names already.
        """
        strange = np.argsort(-self.scores, kind="stable")
        above = strange[self.scores[strange] > threshold]
        return [int(at) for at in above if self.ts_codes[at] not in told][:MOST_ALERTS_A_DAY]


def find(lake: Lake, session: date, settings: Settings, told: Collection[str] = ()) -> pa.Table:
    """Securities that are unlike the others on a session, as rows of `checks.FINDING_SCHEMA`, the strangest first.

    Args:
        lake: the lake.
        session: day looked at.
        settings: how many alerts are wanted, and the seed.
        told: securities that another finding of the session names already.

    Raises:
        LakeError: the lake cannot be read.
    """
    watched = read_watched(lake, session, settings)
    if watched is None:
        return checks.FINDING_SCHEMA.empty_table()
    n_strange = int((watched.scores > watched.threshold).sum())
    named = watched.strangest(watched.threshold, told)
    names = _read_names(lake, [str(watched.ts_codes[at]) for at in named])
    log.info("watched market session=%s securities=%s strange=%s", session, len(watched.scores), n_strange)
    found = [_finding(watched, at, session, names, n_strange) for at in named]
    return pa.Table.from_pylist(found, schema=checks.FINDING_SCHEMA)


def read_watched(lake: Lake, session: date, settings: Settings) -> Watched | None:
    """A session's securities, scored by what was known by then; None where its past is too short.

    Raises:
        LakeError: the lake cannot be read.
    """
    moves, axes = read_moves(lake, session)
    if axes.shape[1] < FEWEST_SESSIONS or axes.sessions[-1] != np.datetime64(session):
        log.info("no market anomalies: the past is too short session=%s sessions=%s", session, axes.shape[1])
        return None
    try:
        return watch(moves, np.array(axes.codes, object), settings)
    except base.ModelError as exc:
        log.warning("no market anomalies session=%s: %s", session, exc)
        return None


def read_moves(lake: Lake, session: date) -> tuple[market_moves.Moves, matrices.Axes]:
    """What was traded in the year up to a session, and what the rows and columns stand for.

    Raises:
        LakeError: the lake cannot be read.
    """
    first = derive.read_session_before(lake, feature.LOG_RETURN, session, SESSIONS - 1)
    axes = matrices.read_axes(lake, feature.LOG_RETURN, first=first)
    axes = matrices.Axes(axes.codes, axes.sessions[axes.sessions <= np.datetime64(session)])
    returns, _ = matrices.read(lake, feature.LOG_RETURN, ["log_return_1d"], axes)
    bars, _ = matrices.read(lake, market.DAILY, ["high", "low", "amount"], axes)
    listed = lake.read("select ts_code, coalesce(industry, '') as industry from market.stock_basic")
    industries = dict(zip(listed["ts_code"].to_pylist(), listed["industry"].to_pylist(), strict=True))
    sector = np.unique([industries.get(code, "") for code in axes.codes], return_inverse=True)[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        log_amount = np.where(bars["amount"] > 0, np.log(bars["amount"]), np.nan)
        log_range = np.log(np.maximum(np.log(bars["high"] / bars["low"]), SMALLEST_RANGE))
    return market_moves.Moves(returns["log_return_1d"], log_amount, log_range, sector), axes


def watch(moves: market_moves.Moves, ts_codes: npt.NDArray[np.object_], settings: Settings) -> Watched:
    """The newest session's securities, scored by what was usual in the sessions before.

    Args:
        moves: at least `FEWEST_SESSIONS` sessions.
        ts_codes: (n_codes,) what their rows stand for.
        settings: how many alerts are wanted, and the seed.

    Raises:
        ModelError: too few securities have a past.
    """
    features = market_moves.measure(moves, USUAL_SESSIONS + 1)
    is_known: npt.NDArray[np.bool_] = np.asarray(np.isfinite(features).all(axis=2))
    days = [features[is_known[:, day], day] for day in range(USUAL_SESSIONS + 1)]
    usual, today = np.concatenate(days[:-1]), days[-1]
    if not len(today):
        raise base.TooFewRows("no security has a bar today and a past of sixty sessions. Wait until some have.")
    same = [name for name, spread in zip(market_moves.FEATURES, usual.std(axis=0), strict=True) if not spread > 0]
    if same:
        raise base.ModelError(f"{', '.join(same)} is the same for every security. Look at the bars.")
    rng = np.random.default_rng(settings.seed)
    is_many = len(usual) > MOST_USUAL_ROWS
    sample = usual[rng.choice(len(usual), MOST_USUAL_ROWS, replace=False)] if is_many else usual
    detector = combined.RankCombination(seed=settings.seed).fit(sample)
    edges = np.cumsum([len(day) for day in days[:-1]])[:-1]
    before = np.split(detector.score(usual), edges)
    scores = detector.score(today)
    threshold = threshold_of(before, scores, settings)
    usual_alerts = float(np.mean([(day > threshold).sum() for day in before]))
    return Watched(ts_codes[is_known[:, -1]], scores, detector.drivers(today), threshold, usual_alerts, tuple(before))


def threshold_of(before: Sequence[Floats], scores: Floats, settings: Settings) -> float:
    """The score above which a security of a session is an alert.

    Args:
        before: scores of each session before.
        scores: those of the session.
        settings: how many alerts are wanted, or which share of them may be false.
    """
    if settings.market_false_discovery_rate is None:
        return thresholds.for_alerts_a_day(before, settings.market_alerts_per_day)
    rate = settings.market_false_discovery_rate
    return thresholds.for_false_discovery_rate(np.concatenate(before), scores, rate)


def _read_names(lake: Lake, codes: list[str]) -> dict[str, str]:
    rows = lake.read(
        "select ts_code, name from market.stock_basic where ts_code in (select unnest($codes))", codes=codes
    )
    return dict(zip(rows["ts_code"].to_pylist(), rows["name"].to_pylist(), strict=True))


def _finding(watched: Watched, at: int, session: date, names: dict[str, str], n_strange: int) -> dict[str, object]:
    ts_code = str(watched.ts_codes[at])
    driving = np.argsort(-np.abs(watched.drivers[at]), kind="stable")[:N_DRIVERS]
    drivers = {market_moves.FEATURES[one]: round(float(watched.drivers[at, one]), 1) for one in driving}
    told = ", ".join(f"{WORDS[name]} {value:+.1f}" for name, value in drivers.items())
    return {
        "rule": RULE,
        "severity": "low",
        "subject": ts_code,
        "subject_date": session,
        "title": f"{ts_code} {names.get(ts_code, '')} is unlike the market on {session}, in deviations: {told}",
        "action": "Look for news; if there is none, compare the bar with another source.",
        "evidence": json.dumps(
            {
                "anomaly_score": round(float(watched.scores[at]), 2),
                "threshold": round(watched.threshold, 2),
                "drivers": drivers,
                "n_above_threshold": n_strange,
                "usual_alerts_a_session": round(watched.usual_alerts, 1),
            }
        ),
        "evidence_sql": f"select * from analyst.daily_return where ts_code = '{ts_code}'"
        f" and trade_date between date '{session}' - 30 and date '{session}' order by trade_date",
    }
