"""How does a section get its figures? Small questions that several sections ask of the analyst views.

Invariant: nothing dated after `as_of` is read, so a report of a past day shows what that day could have known.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reports import charts
from reports.blocks import Source
from reports.tracing import Reader, Trail

Floats = npt.NDArray[np.float64]

# The forecast that every model must beat.
NAIVE = "zero"
SHANGHAI = ZoneInfo("Asia/Shanghai")
# FRED counts its days by the clock of Saint Louis.
US_CENTRAL = ZoneInfo("America/Chicago")


def floats(rows: pa.Table, name: str) -> Floats:
    """A column as float64 of its own, NaN where it is NULL."""
    return np.array(rows[name].cast(pa.float64()).to_numpy(zero_copy_only=False))


def in_shanghai(instant: datetime) -> datetime:
    """What the market's clock said at an instant; one without a zone is UTC."""
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(SHANGHAI)


def end_of(day: date) -> datetime:
    """The instant at which a day ends in Shanghai: what came later, the day did not know."""
    return datetime.combine(day + timedelta(days=1), time(), SHANGHAI).astimezone(UTC)


def days_around(n_sessions: int) -> timedelta:
    """Calendar days that hold so many sessions whatever the holidays, so that no older day need be computed.

    A year has about 240 sessions; thirty days more are for the closures around the Spring Festival.
    """
    return timedelta(days=n_sessions * 365 // 240 + 30)


def read_session(lake: Reader, as_of: date) -> date | None:
    """The newest session with bars on or before `as_of`, None without any.

    Raises:
        LakeError: the lake cannot be read.
    """
    found: date | None = lake.read_value(
        "select max(trade_date) from analyst.daily_return where trade_date <= $as_of", as_of=as_of
    )
    return found


def read_session_before(lake: Reader, session: date) -> date | None:
    """The session with bars before a session, None when it is the first.

    Raises:
        LakeError: the lake cannot be read.
    """
    found: date | None = lake.read_value(
        "select max(trade_date) from analyst.daily_return where trade_date < $session", session=session
    )
    return found


def read_day_before(lake: Reader, as_of: date) -> date | None:
    """The day of the report before: the session before, or the last published day where there is no market.

    Raises:
        LakeError: the lake cannot be read.
    """
    session = read_session(lake, as_of)
    if session is not None:
        return session if session < as_of else read_session_before(lake, session)
    found: date | None = lake.read_value(
        "select max(as_of_date) from analyst.run where flow = 'daily' and snapshot is not null and as_of_date < $as_of",
        as_of=as_of,
    )
    return found


def read_newest_version(lake: Reader, model_name: str, as_of: date) -> str | None:
    """The newest version of a model on or before `as_of`, None when it was never fitted.

    Raises:
        LakeError: the lake cannot be read.
    """
    found: str | None = lake.read_value(
        "select max_by(model_version, as_of_date) from analyst.model_card"
        " where model_name = $model_name and as_of_date <= $as_of",
        model_name=model_name,
        as_of=as_of,
    )
    return found


def read_newest_forecasts(lake: Reader, as_of: date) -> dict[str, tuple[str, date]]:
    """The version and day of each model's newest forecasts on or before `as_of`.

    Raises:
        LakeError: the lake cannot be read.
    """
    # Not from analyst.forecast, which computes what came of every forecast beside it.
    rows = lake.read(
        "select model_name, max_by(model_version, (forecast_date, model_version)) as model_version,"
        " max(forecast_date) as day from model.forecast where forecast_date <= $as_of group by model_name",
        as_of=as_of,
    ).to_pylist()
    return {row["model_name"]: (row["model_version"], row["day"]) for row in rows}


def read_roles(lake: Reader, as_of: date) -> list[dict[str, Any]]:
    """What each forecasting version is on the day and why (model_version, role, reason), newest decision first.

    Raises:
        LakeError: the lake cannot be read.
    """
    return lake.read(
        "select model_version, max_by(role, (as_of_date, decision)) as role,"
        " max_by(reason, (as_of_date, decision)) as reason, max_by(decision, (as_of_date, decision)) as newest"
        " from analyst.version_role where as_of_date <= $as_of group by model_version order by newest desc",
        as_of=as_of,
    ).to_pylist()


def read_forecasters(lake: Reader, as_of: date) -> dict[str, str]:
    """The version that stands for each forecasting model: the champion's first, then by skill, the naive one's last.

    Raises:
        LakeError: the lake cannot be read.
    """
    newest = lake.read(
        "select model_name, max_by(model_version, as_of_date) as model_version from analyst.model_card"
        " where as_of_date <= $as_of and (list_contains($scored, model_name) or model_name in"
        " (select model_name from analyst.evaluation where metric = 'r2_oos')) group by model_name",
        as_of=as_of,
        scored=list(read_newest_forecasts(lake, as_of)),
    ).to_pylist()
    versions = {row["model_name"]: row["model_version"] for row in newest}
    champion = next((row["model_version"] for row in read_roles(lake, as_of) if row["role"] == "champion"), "")
    if champion:
        versions[champion.split("/")[0]] = champion
    judged = lake.read(
        "select model_version, value from analyst.evaluation where fold = 0 and metric = 'r2_oos' and value is not null"
        " and list_contains($versions, model_version)",
        versions=list(versions.values()),
    ).to_pylist()
    skill = {row["model_version"]: row["value"] for row in judged}

    def rank(name: str) -> tuple[bool, bool, float, str]:
        return name == NAIVE, versions[name] != champion, -skill.get(versions[name], -np.inf), name

    return {name: versions[name] for name in sorted(versions, key=rank)}


class Gathered:
    """The answer to one question about many things, asked once and handed out thing by thing.

    A lake is slow to ask and quick to answer: a question a security would make the site's pages take hours.

    Args:
        lake: where to ask.
        statement: a SELECT, ordered by the column `by` first.
        by: the column that names the thing.
        params: the statement's values.
    """

    def __init__(self, lake: Reader, statement: str, by: str, **params: object) -> None:
        trail = Trail(lake)
        self._rows = trail.read(statement, **params)
        self.source: Source = trail.source
        names = np.array(self._rows[by].to_pylist(), dtype=object)
        starts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist()] if len(names) else []
        ends = [*starts[1:], len(names)]
        self._places = {names[start]: (start, end) for start, end in zip(starts, ends, strict=False)}

    def of(self, name: str) -> pa.Table:
        """The rows about one thing, in the statement's order; none when there are none."""
        start, end = self._places.get(name, (0, 0))
        return self._rows.slice(start, end - start)

    def about(self, version: str) -> Source:
        """Where the rows about a model version come from, of the versions only that one."""
        return Source(self.source.views, (version,))


def read_recessions(lake: Reader, as_of: date) -> set[str]:
    """The months of recession in the United States, such as 2020-03, as they were known on the day.

    FRED's USREC, which follows the NBER's dates: the month after a peak is the first, the trough's the last. None where
    the lake has no such series.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select strftime(observation_date, '%Y-%m') as month from analyst.macro_vintage where series_id = 'USREC'"
        " and value = 1 and realtime_start <= $as_of and realtime_end >= $as_of order by month",
        as_of=as_of,
    )
    return set(rows["month"].to_pylist())


RECESSION_WORDS = " Shaded: recessions in the United States by the NBER (USREC)."


def recession_shade(dates: Sequence[object], recessions: set[str]) -> charts.Shade | None:
    """Which of some months are of recession; None when none is."""
    is_in = [str(one)[:7] in recessions for one in dates]
    return charts.Shade("recession", is_in) if any(is_in) else None


def matrix(rows: pa.Table, row_name: str, column_name: str, value_name: str) -> tuple[list[str], list[str], Floats]:
    """Long rows as a matrix, in the order in which names first appear.

    Returns:
        Row names, column names, and (n_rows, n_columns) with NaN where there is no row.
    """
    heads = list(dict.fromkeys(str(value) for value in rows[column_name].to_pylist()))
    names = list(dict.fromkeys(str(value) for value in rows[row_name].to_pylist()))
    values = np.full((len(names), len(heads)), np.nan)
    row_at = {name: at for at, name in enumerate(names)}
    head_at = {name: at for at, name in enumerate(heads)}
    for name, head, value in zip(
        rows[row_name].to_pylist(), rows[column_name].to_pylist(), floats(rows, value_name).tolist(), strict=True
    ):
        values[row_at[str(name)], head_at[str(head)]] = value
    return names, heads, values
