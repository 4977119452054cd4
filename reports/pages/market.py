"""How did the market do: index, volatility, breadth, limits, extremes, and what is out of the ordinary?

Partner: `movers.py`, the same day by industry and security.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reports import blocks, charts, numbers, reading
from reports.blocks import Block, Figure, Note, Section, Source, Table
from reports.numbers import Written
from reports.pages import anomalies, changes, movers
from reports.reading import Floats
from reports.tracing import Reader, Trail, walk
from warehouse import rule_families

CHART_SESSIONS = 250
BREADTH_SESSIONS = 60
# A session's place among those before it says little when there are fewer.
FEWEST_RANKED_SESSIONS = 40
# A move of the whole market that is rarer than one in twenty is told as such.
RARE_SHARE, USUAL_SESSIONS, FEWEST_USUAL_SESSIONS = 0.95, 250, 60
OUT_OF_THE_ORDINARY = [
    rule for rule, family in rule_families.OF_RULE.items() if family in (rule_families.MARKET, rule_families.BARS)
]


@dataclass(frozen=True)
class _Course:
    """The sessions up to the day, oldest first, with where each was read from."""

    days: pa.Table
    limits: pa.Table
    extremes: pa.Table
    of_days: Source
    of_limits: Source
    of_extremes: Source


def section(lake: Reader, as_of: date) -> Section:
    """The market's day.

    Raises:
        LakeError: the lake cannot be read.
    """
    session = reading.read_session(lake, as_of)
    if session is None:
        note = Note("No bars are loaded yet. Set TUSHARE_TOKEN and run `daybook run`, or look at `daybook demo`.")
        return Section("market", "Market", (note,))
    course = _read_course(lake, session)
    return Section(
        "market",
        f"Market, {session}",
        (
            _rank_table(course),
            *_index_figures(course),
            *_breadth_figures(course),
            *_count_figures(course),
            *walk(lake, movers.industry_figure, session),
            *walk(lake, movers.security_blocks, session),
            *walk(lake, movers.halt_blocks, session),
            *walk(lake, _abnormal_note, session),
        ),
    )


def _read_course(lake: Reader, session: date) -> _Course:
    days, limits, extremes = Trail(lake), Trail(lake), Trail(lake)
    start = session - reading.days_around(CHART_SESSIONS)
    of_day = days.read(
        "select m.*, m.n_up / nullif(m.n_bars, 0) as share_up, i.close_points, i.simple_return_1d as index_return,"
        " i.volatility_20d_annual as index_volatility from analyst.market_day as m"
        " left join analyst.index_day as i on i.trade_date = m.trade_date and i.ts_code = $index"
        f" where m.trade_date between $start and $session order by m.trade_date desc limit {CHART_SESSIONS + 1}",
        index=changes.MARKET_INDEX,
        start=start,
        session=session,
    ).sort_by("trade_date")
    first = of_day["trade_date"][max(0, of_day.num_rows - BREADTH_SESSIONS - 1)].as_py()
    at_limit = limits.read(
        "select trade_date, count(*) filter (close > limit_up_cny - 0.005) as n_limit_up,"
        " count(*) filter (close < limit_down_cny + 0.005) as n_limit_down"
        " from main.price_limits_between($first, $session) where has_limit and limit_fraction > 0.05"
        " group by trade_date order by trade_date",
        first=first,
        session=session,
    )
    extreme = extremes.read(
        "select trade_date, count(*) filter (is_high_252d) as n_high, count(*) filter (is_low_252d) as n_low"
        " from main.extremes_between($first, $session) group by trade_date order by trade_date",
        first=first,
        session=session,
    )
    return _Course(of_day, at_limit, extreme, days.source, limits.source, extremes.source)


def _rank_table(course: _Course) -> Table:
    """Each figure of the day beside those of the sessions before."""
    days, limits, extremes = course.days, course.limits, course.extremes

    def percent(value: float | None) -> Written:
        return numbers.share(value, 1)

    rows: list[tuple[str, pa.Table, str, Callable[[float | None], Written]]] = [
        ("CSI 300", days, "index_return", numbers.change),
        ("Mean return, equal-weighted", days, "mean_return", numbers.change),
        ("Share of securities up", days, "share_up", percent),
        ("Dispersion of returns", days, "return_dispersion", lambda v: numbers.share(v, 2)),
        ("Volatility of the CSI 300, a year", days, "index_volatility", percent),
        ("Volatility of the median security, a year", days, "median_volatility_20d_annual", percent),
        ("Traded", days, "amount_cny", numbers.amount_cny),
        ("At the upper price limit", limits, "n_limit_up", _counted),
        ("At the lower price limit", limits, "n_limit_down", _counted),
        ("At their highest close of 252 sessions", extremes, "n_high", _counted),
        ("At their lowest close of 252 sessions", extremes, "n_low", _counted),
    ]
    session = days["trade_date"][-1].as_py()
    cells = []
    for label, held, name, write in rows:
        values = reading.floats(held.filter(pc.field("trade_date") <= pa.scalar(session)), name)
        is_todays = held.num_rows > 0 and held["trade_date"][-1].as_py() == session
        today = float(values[-1]) if is_todays else np.nan
        before = values[:-1] if is_todays else values
        before = before[np.isfinite(before)]
        ranked = len(before) >= FEWEST_RANKED_SESSIONS
        cells.append(
            (
                blocks.text(label),
                blocks.number(write(today)),
                blocks.number(write(float(np.median(before))) if ranked else numbers.share(None)),
                blocks.number(_rank(today, before)),
                blocks.number(numbers.count(len(before))),
            )
        )
    lacks_rank = any(row[3].text == numbers.MISSING for row in cells)
    caption = "The day beside the sessions before"
    caption += f" (no rank: fewer than {FEWEST_RANKED_SESSIONS})" if lacks_rank else ""
    heads = ("Figure", "Today", "Median before", "Higher than on", "Sessions before")
    both = (*course.of_days.views, *course.of_limits.views, *course.of_extremes.views)
    return Table(caption, heads, cells, is_wide=True, source=Source(tuple(dict.fromkeys(both))))


def _counted(value: float | None) -> Written:
    """A number of securities; a median of numbers may lie between two."""
    is_whole = value is None or numbers.is_missing(value) or float(value).is_integer()
    return numbers.count(value) if is_whole else numbers.decimal(value, 1)


def _rank(today: float, before: Floats) -> Written:
    """On which share of the sessions before the figure was lower."""
    if len(before) < FEWEST_RANKED_SESSIONS or not np.isfinite(today):
        return numbers.share(None)
    return numbers.share(float((before < today).mean()), 0)


def _index_figures(course: _Course) -> list[Block]:
    days = course.days.slice(max(0, course.days.num_rows - CHART_SESSIONS))
    dates, level = days["trade_date"].to_pylist(), reading.floats(days, "close_points")
    known = level[np.isfinite(level)]
    if len(known) < 2:
        return [
            Note(f"The index {changes.MARKET_INDEX} is not loaded; `daybook status` says why.", source=course.of_days)
        ]
    growth = np.nan_to_num(reading.floats(days, "mean_return"))
    growth[0] = 0.0
    both = charts.line_chart(
        dates,
        [charts.Line("CSI 300", level / known[0]), charts.Line("equal-weighted", (1 + growth).cumprod())],
        label="CSI 300 and the equal-weighted market, first day = 1",
        write=lambda v: f"{v:.2f}",
    )
    own = reading.floats(course.days, "index_volatility")
    rank = _rank(float(own[-1]), own[:-1][np.isfinite(own[:-1])])
    volatility = charts.line_chart(
        dates,
        [
            charts.Line("CSI 300", own[-len(dates) :]),
            charts.Line("median security", reading.floats(days, "median_volatility_20d_annual")),
        ],
        label="Volatility of the CSI 300 and of the median security, a year",
        write=lambda v: numbers.share(v, 0),
    )
    said = "Standard deviation of the last 20 log returns, for a year of 252 sessions."
    if rank.exact:
        said += f" The index's is {numbers.share(float(own[-1]))}, higher than on {rank} of the sessions before."
    return [
        Figure(
            "Index and the equal-weighted market", both, f"Growth since {dates[0]}, start = 1.", source=course.of_days
        ),
        Figure("Volatility", volatility, said, source=course.of_days),
    ]


def _breadth_figures(course: _Course) -> list[Block]:
    days = course.days.slice(max(0, course.days.num_rows - BREADTH_SESSIONS))
    dates = days["trade_date"].to_pylist()
    breadth = charts.line_chart(
        dates,
        [charts.Line("share of securities up", reading.floats(days, "share_up"))],
        label="Share of securities with a positive return",
        write=lambda v: numbers.share(v, 0),
        tell=numbers.share,
    )
    spread = charts.line_chart(
        dates,
        [charts.Line("dispersion", reading.floats(days, "return_dispersion"))],
        label="Cross-sectional standard deviation of daily returns",
        write=lambda v: numbers.share(v, 1),
    )
    amounts = reading.floats(days, "amount_cny")
    traded = charts.line_chart(
        dates,
        [charts.Line("bn CNY", amounts / 1e9)],
        label="Amount traded, bn CNY",
        write=lambda v: numbers.decimal(v, 1 if np.nanmax(amounts) < 1e11 else 0),
        zero=True,
    )
    before = amounts[:-1][np.isfinite(amounts[:-1])]
    ratio = amounts[-1] / before.mean() - 1 if len(before) else None
    mean = f"the mean of the {numbers.count(len(before))} sessions before"
    said = f"{numbers.amount_cny(float(amounts[-1]))}, {numbers.change(ratio, 0)} against {mean}."
    return [
        Figure(
            "Breadth", breadth, f"Share of securities that rose, last {len(dates)} sessions.", source=course.of_days
        ),
        Figure(
            "Dispersion",
            spread,
            "Standard deviation of one-day simple returns across securities.",
            source=course.of_days,
        ),
        Figure("Amount traded", traded, said, source=course.of_days),
    ]


def _count_figures(course: _Course) -> list[Block]:
    """How many securities closed at their price limit, and how many at an extreme of 252 sessions."""
    shown: list[Block] = []
    for title, held, names, columns, source, words in (
        (
            "At the price limit",
            course.limits,
            ("up", "down"),
            ("n_limit_up", "n_limit_down"),
            course.of_limits,
            "Securities that closed at the limit of their board; those without one, and at 5 % (ST), are left out.",
        ),
        (
            "Highs and lows of 252 sessions",
            course.extremes,
            ("highs", "lows"),
            ("n_high", "n_low"),
            course.of_extremes,
            "Securities whose adjusted close is the highest or lowest of their own last 252.",
        ),
    ):
        rows = held.slice(max(0, held.num_rows - BREADTH_SESSIONS))
        if not rows.num_rows:
            shown.append(Note(f"{title}: none can be counted yet, as no security has enough sessions.", source=source))
            continue
        chart = charts.line_chart(
            rows["trade_date"].to_pylist(),
            [charts.Line(name, reading.floats(rows, column)) for name, column in zip(names, columns, strict=True)],
            label=f"{title}: {names[0]} and {names[1]}",
            write=_counted,
            zero=True,
        )
        shown.append(Figure(title, chart, words, source=source))
    return shown


def _calm(lake: Reader, session: date) -> Note:
    """That no security stands out is no good news on a day on which all of them fell."""
    rows = lake.read(
        "select mean_return from analyst.market_day where trade_date <= $session and mean_return is not null"
        f" order by trade_date desc limit {USUAL_SESSIONS + 1}",
        session=session,
    )
    size = np.abs(reading.floats(rows, "mean_return"))
    share = float((size[1:] < size[0]).mean()) if len(size) > FEWEST_USUAL_SESSIONS else 0.0
    if share < RARE_SHARE:
        return Note("No security stands out from the others.", "good")
    return Note(
        f"No security stands out from the others: the market as a whole moved, more than on {numbers.share(share, 0)}"
        f" of the {numbers.count(len(size) - 1)} sessions before."
    )


def _abnormal_note(lake: Reader, session: date) -> Note:
    """Whether anything stands out; what does is told once, with its evidence, among the anomalies."""
    n_standing = lake.read_value(
        "select count(*) from analyst.alert where state <> 'resolved' and subject_date = $session"
        " and rule in (select unnest($rules))",
        session=session,
        rules=sorted(OUT_OF_THE_ORDINARY),
    )
    if not n_standing:
        return _calm(lake, session)
    stand = "1 alert of this session stands" if n_standing == 1 else f"{numbers.count(n_standing)} alerts of it stand"
    words = f"{stand}, about securities or their bars, see Anomalies."
    return Note(blocks.linked(words, blocks.Lead("Anomalies", anomalies.ANCHOR)))
