"""Macro values: every published value kept, with the closed interval of days during which it was the published one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pyarrow as pa
import pytest

from warehouse import errors, lake, load, quarantine, rules, vintages
from warehouse.tables import macro

FAR = date(9999, 12, 31)
HEADER = (
    "series_id title unit frequency transform_code publication_lag_days group_name is_in_macro_panel"
    " is_rolling_window licence"
)
SERIES = f"""{HEADER}
MONTHLY m Percent M 1 10 g true false public
QUARTERLY q Percent Q 1 30 g true false public
WEEKLY w Percent W 1 5 g true false public
DAILY d Percent D 1 1 g true false public
"""

Pull = Callable[..., pa.Table]


@pytest.fixture
def enter_series(frame: Callable[..., pa.Table], stamp: Callable[[int], load.Stamp]) -> Callable[..., None]:
    def run(to: lake.Lake, names: tuple[str, ...] = ()) -> None:
        text = SERIES + "".join(f"{name} m Percent M 1 10 g true false public\n" for name in names)
        rows = frame(macro.SERIES, text)
        load.load(to, [load.Load(macro.SERIES, rows, [load.Partition("all", date(2024, 1, 1))], None)], stamp(0))

    return run


@pytest.fixture
def pull(stamp: Callable[[int], load.Stamp]) -> Pull:
    """Load one pull: {series_id: {observation_date: value}} as seen on a day; or a file, which nobody was asked for."""

    def run(
        to: lake.Lake, day: date, seen: dict[str, dict[date, float | None]], n: int = 1, *, is_file: bool = False
    ) -> pa.Table:
        flat = [(name, period, value) for name, values in seen.items() for period, value in values.items()]
        rows = pa.table(
            {
                "series_id": pa.array([row[0] for row in flat], pa.string()),
                "observation_date": pa.array([row[1] for row in flat], pa.date32()),
                "value": pa.array([row[2] for row in flat], pa.float64()),
            }
        )
        partitions = [load.Partition(name, day) for name in seen]
        one = vintages.observation_load(rows, partitions, pull_date=day, is_history=is_file)
        return load.load(to, [one], stamp(n))

    return run


@pytest.fixture
def watched_lake(empty_lake: lake.Lake, enter_series: Callable[..., None]) -> lake.Lake:
    enter_series(empty_lake)
    return empty_lake


def intervals(of: lake.Lake) -> list[tuple[Any, ...]]:
    rows = of.read(
        "select observation_date, value, realtime_start, realtime_end, is_realtime_estimated from macro.observation"
        " order by series_id, observation_date, realtime_start"
    )
    return [tuple(row.values()) for row in rows.to_pylist()]


def day(text: str) -> date:
    return date.fromisoformat(text)


JAN, FEB = day("2024-01-01"), day("2024-02-01")


@pytest.mark.parametrize(
    ("series_id", "observation_date", "estimate"),
    [
        ("MONTHLY", "2024-02-01", "2024-03-10"),  # month ends 29 February 2024, plus 10 days
        ("QUARTERLY", "2024-01-01", "2024-04-30"),  # quarter ends 31 March, plus 30 days
        ("WEEKLY", "2024-01-06", "2024-01-17"),  # week ends 12 January, plus 5 days
        ("DAILY", "2024-01-06", "2024-01-07"),
    ],
)
def test_first_pull_estimates_when_the_value_was_published(
    watched_lake: lake.Lake, pull: Pull, series_id: str, observation_date: str, estimate: str
) -> None:
    pull(watched_lake, day("2024-06-01"), {series_id: {day(observation_date): 3.5}})

    assert intervals(watched_lake) == [(day(observation_date), 3.5, day(estimate), FAR, True)]
    assert watched_lake.read("select * from macro.release").num_rows == 0


def test_first_pull_starts_no_later_than_the_day_of_the_pull(watched_lake: lake.Lake, pull: Pull) -> None:
    pull(watched_lake, day("2024-02-03"), {"MONTHLY": {JAN: 3.5}})

    assert intervals(watched_lake) == [(JAN, 3.5, day("2024-02-03"), FAR, True)]


def test_new_period_starts_on_the_day_it_is_seen_and_enters_the_releases(watched_lake: lake.Lake, pull: Pull) -> None:
    pull(watched_lake, day("2024-02-20"), {"MONTHLY": {JAN: 3.5}})

    pull(watched_lake, day("2024-03-15"), {"MONTHLY": {JAN: 3.5, FEB: 3.6}})

    assert intervals(watched_lake) == [
        (JAN, 3.5, day("2024-02-10"), FAR, True),
        (FEB, 3.6, day("2024-03-15"), FAR, False),
    ]
    assert watched_lake.read("select * from macro.release").to_pylist() == [
        {
            "series_id": "MONTHLY",
            "observation_date": FEB,
            "expected_date": day("2024-03-10"),
            "first_seen_date": day("2024-03-15"),
        }
    ]


def test_revision_closes_the_old_row_and_opens_a_new_one(watched_lake: lake.Lake, pull: Pull) -> None:
    pull(watched_lake, day("2024-02-20"), {"MONTHLY": {JAN: 3.5}})

    pull(watched_lake, day("2024-03-15"), {"MONTHLY": {JAN: 3.4}})

    assert intervals(watched_lake) == [
        (JAN, 3.5, day("2024-02-10"), day("2024-03-14"), True),
        (JAN, 3.4, day("2024-03-15"), FAR, False),
    ]
    assert watched_lake.read("select * from macro.release").num_rows == 0
    assert watched_lake.read("select * from ops.revision").num_rows == 0


def test_value_published_as_missing_is_a_value_of_its_own(watched_lake: lake.Lake, pull: Pull) -> None:
    pull(watched_lake, day("2024-02-20"), {"MONTHLY": {JAN: None}})
    pull(watched_lake, day("2024-02-21"), {"MONTHLY": {JAN: None}})
    pull(watched_lake, day("2024-02-22"), {"MONTHLY": {JAN: 3.5}})

    assert [row[1:4] for row in intervals(watched_lake)] == [
        (None, day("2024-02-10"), day("2024-02-21")),
        (3.5, day("2024-02-22"), FAR),
    ]


def test_value_changed_twice_in_a_day_stands_once_and_its_predecessor_is_kept(
    watched_lake: lake.Lake, pull: Pull
) -> None:
    pull(watched_lake, day("2024-02-20"), {"MONTHLY": {JAN: 3.5}})
    pull(watched_lake, day("2024-03-15"), {"MONTHLY": {JAN: 3.4}}, n=2)

    pull(watched_lake, day("2024-03-15"), {"MONTHLY": {JAN: 3.3}}, n=3)

    assert [row[1:4] for row in intervals(watched_lake)] == [
        (3.5, day("2024-02-10"), day("2024-03-14")),
        (3.3, day("2024-03-15"), FAR),
    ]
    revision = watched_lake.read("select column_name, old_value, new_value, load_id from ops.revision").to_pylist()
    assert revision == [{"column_name": "value", "old_value": "3.4", "new_value": "3.3", "load_id": "load-3"}]
    assert watched_lake.read_value("select load_id from macro.observation where value = 3.3") == "load-3"


def test_value_stays_when_it_vanishes_upstream(watched_lake: lake.Lake, pull: Pull) -> None:
    pull(watched_lake, day("2024-03-20"), {"MONTHLY": {JAN: 3.5, FEB: 3.6}})

    pull(watched_lake, day("2024-03-21"), {"MONTHLY": {FEB: 3.6}})

    assert [(row[0], row[3]) for row in intervals(watched_lake)] == [(JAN, FAR), (FEB, FAR)]


def test_older_pull_leaves_a_newer_value_alone(watched_lake: lake.Lake, pull: Pull) -> None:
    pull(watched_lake, day("2024-02-20"), {"MONTHLY": {JAN: 3.5}})
    pull(watched_lake, day("2024-03-15"), {"MONTHLY": {JAN: 3.4}})
    before = intervals(watched_lake)

    pull(watched_lake, day("2024-03-01"), {"MONTHLY": {JAN: 3.5}})

    assert intervals(watched_lake) == before
    assert watched_lake.read("select * from ops.revision").num_rows == 0


def test_same_pull_again_writes_nothing(watched_lake: lake.Lake, pull: Pull) -> None:
    seen = {"MONTHLY": {JAN: 3.5, FEB: 3.6}, "DAILY": {JAN: 1.0}}
    pull(watched_lake, day("2024-03-20"), seen, n=1)
    before = watched_lake.snapshot

    pull(watched_lake, day("2024-03-20"), seen, n=2)

    assert watched_lake.snapshot == before


def test_first_pull_of_another_series_is_still_estimated(watched_lake: lake.Lake, pull: Pull) -> None:
    pull(watched_lake, day("2024-03-20"), {"MONTHLY": {JAN: 3.5}})

    pull(watched_lake, day("2024-03-21"), {"DAILY": {JAN: 1.0}})

    estimated = watched_lake.read("select series_id, is_realtime_estimated as e from macro.observation order by 1")
    assert [tuple(row.values()) for row in estimated.to_pylist()] == [("DAILY", True), ("MONTHLY", True)]


def test_time_before_a_file_of_recent_values_is_estimated_by_the_first_pull(
    watched_lake: lake.Lake, pull: Pull
) -> None:
    pull(watched_lake, day("2024-04-02"), {"MONTHLY": {FEB: 3.6}}, is_file=True)

    pull(watched_lake, day("2024-06-01"), {"MONTHLY": {JAN: 3.5, FEB: 3.6}}, n=2)

    assert intervals(watched_lake) == [
        (JAN, 3.5, day("2024-02-10"), FAR, True),
        (FEB, 3.6, day("2024-03-10"), FAR, True),
    ]
    assert watched_lake.read("select * from macro.release").num_rows == 0


def test_time_before_the_first_pull_is_estimated_when_a_file_tells_of_it(watched_lake: lake.Lake, pull: Pull) -> None:
    """A window that rolls upstream: the desk owns what the vendor shows no more."""
    pull(watched_lake, day("2024-04-02"), {"MONTHLY": {FEB: 3.6}})

    pull(watched_lake, day("2024-06-01"), {"MONTHLY": {JAN: 3.5}}, n=2, is_file=True)

    assert intervals(watched_lake)[0] == (JAN, 3.5, day("2024-02-10"), FAR, True)


def test_time_after_a_file_is_estimated_by_the_first_pull(watched_lake: lake.Lake, pull: Pull) -> None:
    """Nobody was watching between the two."""
    pull(watched_lake, day("2024-02-20"), {"MONTHLY": {JAN: 3.5}}, is_file=True)

    pull(watched_lake, day("2024-12-02"), {"MONTHLY": {JAN: 3.4, FEB: 3.6}}, n=2)

    assert intervals(watched_lake) == [
        (JAN, 3.5, day("2024-02-10"), day("2024-12-01"), True),
        (JAN, 3.4, day("2024-12-02"), FAR, False),
        (FEB, 3.6, day("2024-03-10"), FAR, True),
    ]
    assert watched_lake.read("select * from macro.release").num_rows == 0


def test_vendor_that_was_asked_in_vain_has_watched_nothing(
    watched_lake: lake.Lake, pull: Pull, stamp: Callable[[int], load.Stamp]
) -> None:
    asked = load.Partition("MONTHLY", day("2024-04-01"), failure="no answer", cause="vendor_error")
    empty = macro.OBSERVATION.empty().select(["series_id", "observation_date", "value"])
    one = vintages.observation_load(empty, [asked], pull_date=day("2024-04-01"))
    load.load(watched_lake, [one], stamp(1))
    pull(watched_lake, day("2024-04-02"), {"MONTHLY": {FEB: 3.6}}, n=2, is_file=True)

    pull(watched_lake, day("2024-06-01"), {"MONTHLY": {JAN: 3.5, FEB: 3.6}}, n=3)

    assert [row[2:] for row in intervals(watched_lake)] == [
        (day("2024-02-10"), FAR, True),
        (day("2024-03-10"), FAR, True),
    ]


@pytest.mark.parametrize(
    ("days", "start", "is_estimated"),
    [
        (["2024-06-01"], "2024-02-10", True),
        # By then the series was watched: what was lengthened in June was not known in February.
        (["2024-04-02", "2024-06-01"], "2024-06-01", False),
    ],
    ids=["of the first answer", "of a later one"],
)
def test_row_released_from_quarantine_is_dated_by_the_answer_it_came_with(
    watched_lake: lake.Lake,
    pull: Pull,
    stamp: Callable[[int], load.Stamp],
    days: list[str],
    start: str,
    is_estimated: bool,
) -> None:
    for n, on in enumerate(days[:-1]):
        pull(watched_lake, day(on), {"MONTHLY": {FEB: 3.6}}, n=n)
    rule = rules.Rule("macro.observation", "modest", "reject", "value < 1000", "too high", is_desk=True)
    watched_lake.commit(lambda connection: rules.add(connection, rule, "Look."), message="rule")
    pull(watched_lake, day(days[-1]), {"MONTHLY": {JAN: 1e6, FEB: 3.6}}, n=7)
    row_id = watched_lake.read_value("select row_hash from ops.quarantine")
    watched_lake.commit(lambda c: rules.set_enabled(c, "macro.observation", "modest", is_enabled=False), message="off")

    quarantine.release(watched_lake, [row_id], quarantine.Decision("me", "it is right"), stamp(8))

    assert intervals(watched_lake)[0] == (JAN, 1e6, day(start), FAR, is_estimated)


def test_history_that_the_vendor_lengthened_is_known_from_the_day_it_did(watched_lake: lake.Lake, pull: Pull) -> None:
    pull(watched_lake, day("2024-04-02"), {"MONTHLY": {FEB: 3.6}})

    pull(watched_lake, day("2024-06-01"), {"MONTHLY": {JAN: 3.5, FEB: 3.6}}, n=2)

    assert intervals(watched_lake)[0] == (JAN, 3.5, day("2024-06-01"), FAR, False)


def test_unknown_series_is_refused_whole(watched_lake: lake.Lake, pull: Pull) -> None:
    with pytest.raises(errors.ContractViolation, match=r"macro\.series does not know ALIEN\. Nothing was stored; add"):
        pull(watched_lake, day("2024-03-20"), {"MONTHLY": {JAN: 3.5}, "ALIEN": {JAN: 1.0}})

    assert intervals(watched_lake) == []
    pull(watched_lake, day("2024-03-20"), {"MONTHLY": {JAN: 3.5}})
    assert len(intervals(watched_lake)) == 1


def test_infinite_value_is_set_aside(watched_lake: lake.Lake, pull: Pull) -> None:
    entry = pull(watched_lake, day("2024-03-20"), {"MONTHLY": {JAN: float("inf"), FEB: 3.6}}).to_pylist()[0]

    assert [row[:2] for row in intervals(watched_lake)] == [(FEB, 3.6)]
    assert (entry["state"], entry["n_quarantined"]) == ("ok", 1)


PERIODS = [date(2023, month, 1) for month in (1, 2, 3)]
VALUES = st.sampled_from([None, 1.0, 2.0])
# None: the series was not pulled at all that day.
HISTORY = st.lists(st.none() | st.dictionaries(st.sampled_from(PERIODS), VALUES), min_size=5, max_size=5)


# Making a lake per example is slow, so a failure is reported as found, not made small.
@hypothesis.settings(max_examples=3, phases=[hypothesis.Phase.generate])
@hypothesis.given(
    histories=st.lists(HISTORY, min_size=12, max_size=12),
    gaps=st.lists(st.integers(min_value=0, max_value=2), min_size=5, max_size=5),
)
def test_as_of_a_day_reads_what_the_last_pull_by_then_showed(
    new_lake: Callable[[], lake.LakeLocation],
    enter_series: Callable[..., None],
    pull: Pull,
    histories: list[list[dict[date, float | None] | None]],
    gaps: list[int],
) -> None:
    """Also: at any day at most one row stands for a series and period."""
    names = tuple(f"S{number}" for number in range(len(histories)))
    days = [date(2024, 1, 1) + timedelta(days=sum(gaps[: n + 1])) for n in range(len(gaps))]
    last_shown: dict[date, dict[tuple[str, date], float | None]] = {}
    shown: dict[tuple[str, date], float | None] = {}

    with lake.open_writer(new_lake(), holder="test") as opened:
        enter_series(opened, names)
        for number, today in enumerate(days):
            seen = {name: history[number] for name, history in zip(names, histories, strict=True)}
            pulled = {name: values for name, values in seen.items() if values}
            pull(opened, today, pulled, n=number)
            shown = {**shown, **{(name, p): v for name, values in pulled.items() for p, v in values.items()}}
            last_shown[today] = shown

        # Newest day first: forgetting everything known after a day must leave what that day knew.
        for today, expected in reversed(last_shown.items()):
            known = _macro_asof(opened, today)
            opened.commit(functools.partial(_forget_after, day=today), message=f"forget what came after {today}")

            assert _macro_asof(opened, today) == known
            # A series first pulled later stands here with estimated days; the law is about what was watched.
            watched = {name for name, _ in expected}
            assert {key: value for key, value in known.items() if key[0] in watched} == expected


def _macro_asof(of: lake.Lake, day: date) -> dict[tuple[str, date], float | None]:
    """What a day knew; no series has a period twice."""
    rows = of.read("select series_id, observation_date, value from macro_asof($day)", day=day).to_pylist()
    found = {(row["series_id"], row["observation_date"]): row["value"] for row in rows}
    assert len(found) == len(rows)
    return found


def _forget_after(connection: Any, day: date) -> None:
    connection.execute("delete from macro.observation where realtime_start > $day", {"day": day})
