"""How loud is each rule, and which thresholds would have kept the alerts of a week within a budget?

What rules opened is read from the alerts' lives; what the two rules with a threshold of their own would have opened is
replayed session by session with the code that detects every night, each session by what was traded up to it. Bars that
were corrected since are replayed as corrected. Invariant: a budget is kept when any seven days in a row keep it, as
`flows/alarm_budget.py` judges. Partners: `flows/market_watch.py`, `flows/detecting.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flows import alarm_budget, detecting, market_watch
from flows.settings import PREFIX, Settings
from warehouse import alerts, errors, sql
from warehouse.lake import Lake

Ints = npt.NDArray[np.int64]

# The rules that are replayed; those of others have no threshold that a desk sets.
REPLAYED = (detecting.ROBUST_Z, market_watch.RULE)
# Only what is quieter than what is set is tried.
Z_FACTORS = (1.0, 1.25, 1.5, 2.0, 3.0)
RATE_FACTORS = (1.0, 0.5, 0.25, 0.1, 0.05, 0.01)
# What a replay changes, by the settings' names.
Choice = tuple[tuple[str, float | int], ...]


@dataclass(frozen=True)
class History:
    """What rules opened, day by day, the newest first.

    Args:
        last: newest day.
        counts: (n_days,) alerts by rule and severity; days are whole weeks, and the first is `last`.
        n_recorded: newest weeks in which there were runs.
        labels: rule to how many of its alerts are labelled, and how many of these were true.
    """

    last: date
    counts: Mapping[tuple[str, str], Ints]
    n_recorded: int
    labels: Mapping[str, tuple[int, int]]

    def others(self) -> Ints:
        """(n_recorded_days,) alerts of the rules that are not replayed."""
        return self._sum([counts for (rule, _), counts in self.counts.items() if rule not in REPLAYED])

    def whole(self) -> Ints:
        """(n_recorded_days,) alerts of all rules."""
        return self._sum(list(self.counts.values()))

    def recorded(self, counts: Ints) -> Ints:
        """(n_recorded_days,) those of (n_days,) alerts that are of weeks with runs."""
        return counts[: self.n_recorded * alarm_budget.WEEK.days]

    def _sum(self, rows: Sequence[Ints]) -> Ints:
        nothing = np.zeros(self.n_recorded * alarm_budget.WEEK.days, np.int64)
        return np.sum([nothing, *(self.recorded(one) for one in rows)], axis=0)


@dataclass(frozen=True)
class Replay:
    """What the replayed rules would have opened under one choice of settings.

    Args:
        choice: the settings.
        counts: (n_days,) alerts by rule, the newest day first.
    """

    choice: Choice
    counts: Mapping[str, Ints]

    def whole(self, others: Ints) -> Ints:
        """(n_days,) alerts a day, those of the other rules on the days that have any recorded."""
        total = np.sum(list(self.counts.values()), axis=0)
        total[: len(others)] += others
        return np.asarray(total, np.int64)


def by_week(counts: Ints) -> Ints:
    """(n_weeks,) sums of (7 n_weeks,) alerts a day."""
    return np.asarray(counts.reshape(-1, alarm_budget.WEEK.days).sum(axis=1), np.int64)


def worst_week(counts: Ints) -> int:
    """The most of (n_days,) alerts a day that any seven days in a row have."""
    return int(np.convolve(counts, np.ones(alarm_budget.WEEK.days, np.int64)).max())


def read_last_day(lake: Lake) -> date:
    """The day of the newest daily run.

    Raises:
        ConfigError: there was none.
        LakeError: the lake cannot be read.
    """
    last = lake.read_value("select max(as_of_date) from ops.run where flow = 'daily'")
    if last is None:
        raise errors.ConfigError("there was no daily run yet, so there are no alerts to count. Start `daybook run`.")
    assert isinstance(last, date)
    return last


def read_history(lake: Lake, last: date, n_weeks: int) -> History:
    """What opened on each day of the weeks up to a day.

    Args:
        lake: the lake.
        last: newest day.
        n_weeks: how many weeks.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(sql.load("alarm_days"), after=last - n_weeks * alarm_budget.WEEK, last=last).to_pylist()
    counts: dict[tuple[str, str], Ints] = {}
    for row in rows:
        of_rule = counts.setdefault((row["rule"], row["severity"]), _no_days(n_weeks))
        of_rule[row["n_days_before"]] = row["n_alerts"]
    first = lake.read_value("select min(as_of_date) from ops.run where flow = 'daily'") or last
    n_recorded = min(n_weeks, (last - min(first, last)).days // alarm_budget.WEEK.days + 1)
    judged = alerts.read_precision(lake).to_pylist()
    labels = {row["rule"]: (row["n_labelled"], row["n_true"]) for row in judged}
    return History(last, counts, n_recorded, labels)


def summarize(history: History) -> pa.Table:
    """The loudness of each rule and severity, the loudest first; shares are NULL while nothing is labelled."""
    rows = []
    for (rule, severity), counts in history.counts.items():
        n_labelled, n_true = history.labels.get(rule, (0, 0))
        days = history.recorded(counts)
        rows.append(
            {
                "rule": rule,
                "severity": severity,
                "n_alerts": int(counts.sum()),
                "median_week": float(np.median(by_week(days))),
                "worst_week": worst_week(days),
                "rule_labelled": n_labelled,
                "true_fraction": n_true / n_labelled if n_labelled else None,
            }
        )
    names = ("rule", "severity", "n_alerts", "median_week", "worst_week", "rule_labelled", "true_fraction")
    types = (pa.string(), pa.string(), pa.int64(), pa.float64(), pa.int64(), pa.int64(), pa.float64())
    rows.sort(key=lambda row: (-int(str(row["n_alerts"])), row["rule"], row["severity"]))
    return pa.Table.from_pylist(rows, pa.schema(list(zip(names, types, strict=True))))


def choices(settings: Settings) -> list[Choice]:
    """What is tried: the settings as they are, and each way to be quieter that a desk can set."""
    z_values = [round(settings.robust_z_threshold * factor, 2) for factor in Z_FACTORS]
    rate = settings.market_false_discovery_rate
    name, values = "market_alerts_per_day", [*range(settings.market_alerts_per_day, -1, -1)]
    wanted: list[tuple[str, float | int]] = [(name, value) for value in values]
    if rate is not None:
        wanted = [("market_false_discovery_rate", rate * factor) for factor in RATE_FACTORS]
    return [(("robust_z_threshold", z), one) for one in wanted for z in z_values]


def replay(
    lake: Lake, settings: Settings, last: date, n_weeks: int, progress: Callable[[str, int, int], None]
) -> list[Replay]:
    """What each of `choices` would have opened in the sessions of the weeks up to a day.

    Args:
        lake: the lake.
        settings: as they are.
        last: newest day.
        n_weeks: how many weeks.
        progress: told of each session: what, which, of how many.

    Raises:
        LakeError: the lake cannot be read.
    """
    tried = choices(settings)
    counts = {choice: {rule: _no_days(n_weeks) for rule in REPLAYED} for choice in tried}
    sessions = lake.read(
        "select distinct trade_date from feature.log_return where trade_date > $after and trade_date <= $last"
        " order by trade_date",
        after=last - n_weeks * alarm_budget.WEEK,
        last=last,
    )["trade_date"].to_pylist()
    for place, session in enumerate(sessions, 1):
        for choice, opened in _replay_session(lake, settings, session, tried).items():
            for rule, n_alerts in opened.items():
                counts[choice][rule][(last - session).days] += n_alerts
        progress("sessions replayed", place, len(sessions))
    return [Replay(choice, counts[choice]) for choice in tried]


def _no_days(n_weeks: int) -> Ints:
    return np.zeros(n_weeks * alarm_budget.WEEK.days, np.int64)


def _replay_session(
    lake: Lake, settings: Settings, session: date, tried: Sequence[Choice]
) -> dict[Choice, dict[str, int]]:
    """Alerts of a session by choice and rule: scored once, cut by each threshold."""
    rows, score = detecting.score_returns(lake, session)
    codes = rows["ts_code"].to_pylist()
    watched = market_watch.read_watched(lake, session, settings)
    opened = {}
    for choice in tried:
        chosen = settings.model_copy(update=dict(choice))
        told = {codes[at] for at in detecting.outliers(score, chosen.robust_z_threshold)}
        n_strange = 0
        if watched is not None:
            threshold = market_watch.threshold_of(watched.before, watched.scores, chosen)
            n_strange = len(watched.strangest(threshold, told))
        opened[choice] = {detecting.ROBUST_Z: len(told), market_watch.RULE: n_strange}
    return opened


def best_within(replays: Sequence[Replay], others: Ints, per_week: int) -> Replay | None:
    """Of the choices that keep any seven days within a budget the one that still tells most; None where none does.

    Args:
        replays: the choices, what is set first: of equals the first is taken.
        others: (n_recorded_days,) alerts a day of the rules that are not replayed.
        per_week: the budget.
    """
    fitting = [one for one in replays if worst_week(one.whole(others)) <= per_week]
    return max(fitting, key=lambda one: int(one.whole(others).sum())) if fitting else None


def compare(named: Sequence[tuple[str, Replay]], others: Ints) -> pa.Table:
    """Some choices beside each other: their settings, and the alerts of any seven days, each rule's and all."""
    rows = []
    for name, one in named:
        whole = one.whole(others)
        loudness = {f"{rule}_worst": worst_week(counts) for rule, counts in one.counts.items()}
        rows.append(
            {"choice": name, **dict(one.choice), **loudness}
            | {"all_median_week": float(np.median(by_week(whole))), "all_worst_week": worst_week(whole)}
        )
    return pa.Table.from_pylist(rows)


def advise(best: Replay | None, current: Replay, others: Ints, per_week: int) -> list[str]:
    """What to set, a line each, or why no setting keeps the budget."""
    if best is None:
        n_alone = worst_week(others)
        why = (
            f"the other rules alone had {n_alone} in their worst week: mend what they tell of, or raise the budget"
            if n_alone > per_week
            else "none that was tried is quiet enough: raise the budget"
        )
        return [f"No setting would have kept {per_week} alerts a week; {why}."]
    changed = [one for one, before in zip(best.choice, current.choice, strict=True) if one != before]
    head = "Set this:" if changed else "The thresholds as they are would have kept it; set this:"
    lines = [f"{PREFIX}{name.upper()}={value:g}" for name, value in changed]
    return [head, *lines, f"{PREFIX}ALERTS_PER_WEEK={per_week}"]
