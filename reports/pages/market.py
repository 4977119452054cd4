"""How did the market do: index, breadth, industries, movers, and what is out of the ordinary?"""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa

from reports import blocks, charts, numbers, reading
from reports.blocks import Block, Figure, Note, Section, Table
from reports.tracing import Reader, walk
from warehouse.tables import ops

CHART_SESSIONS = 250
BREADTH_SESSIONS = 60
N_MOVERS = 8
# A move of the whole market that is rarer than one in twenty is told as such.
RARE_SHARE, USUAL_SESSIONS, FEWEST_USUAL_SESSIONS = 0.95, 250, 60
MOST_INDUSTRIES = 12
MARKET_RULES = (
    "robust_z_outlier",
    "market_anomaly",
    "price_limit_broken",
    "pct_chg_disagrees",
    "adjustment_misfit",
    "bar_order",
)


def section(lake: Reader, as_of: date) -> Section:
    """The market's day.

    Raises:
        LakeError: the lake cannot be read.
    """
    session = reading.read_session(lake, as_of)
    if session is None:
        note = Note("No bars are loaded yet. Set TUSHARE_TOKEN and run `daybook run`, or look at `daybook demo`.")
        return Section("market", "Market", (note,))
    return Section(
        "market",
        f"Market, {session}",
        (
            *walk(lake, _index_figure, session),
            *walk(lake, _breadth_figures, session),
            *walk(lake, _industry_figure, session),
            *walk(lake, _mover_tables, session),
            *walk(lake, _return_figure, session),
            *walk(lake, _abnormal_table, session),
        ),
    )


def _index_figure(lake: Reader, session: date) -> list[Block]:
    rows = lake.read(
        "select i.trade_date, i.close_points, m.mean_return from analyst.index_day as i"
        " left join analyst.market_day as m using (trade_date)"
        " where i.ts_code = '000300.SH' and i.trade_date between $start and $session"
        f" order by i.trade_date desc limit {CHART_SESSIONS}",
        start=session - reading.days_around(CHART_SESSIONS),
        session=session,
    ).sort_by("trade_date")
    if rows.num_rows < 2:
        return [Note("The index 000300.SH is not loaded; `daybook status` says why.")]
    level = reading.floats(rows, "close_points")
    growth = reading.floats(rows, "mean_return")
    growth[0] = 0.0
    growth[growth != growth] = 0.0
    lines = [charts.Line("CSI 300", level / level[0]), charts.Line("equal-weighted", (1 + growth).cumprod())]
    chart = charts.line_chart(
        rows["trade_date"].to_pylist(),
        lines,
        label="CSI 300 and the equal-weighted market, first day = 1",
        write=lambda v: f"{v:.2f}",
    )
    return [Figure("Index and the equal-weighted market", chart, f"Growth since {rows['trade_date'][0]}, start = 1.")]


def _breadth_figures(lake: Reader, session: date) -> list[Block]:
    rows = lake.read(
        "select trade_date, n_up / nullif(n_bars, 0) as share_up, return_dispersion, amount_cny"
        " from analyst.market_day where trade_date between $start and $session"
        f" order by trade_date desc limit {BREADTH_SESSIONS}",
        start=session - reading.days_around(BREADTH_SESSIONS),
        session=session,
    ).sort_by("trade_date")
    dates = rows["trade_date"].to_pylist()
    breadth = charts.line_chart(
        dates,
        [
            charts.Line("share of securities up", reading.floats(rows, "share_up")),
        ],
        label="Share of securities with a positive return",
        write=lambda v: numbers.share(v, 0),
        tell=numbers.share,
    )
    spread = charts.line_chart(
        dates,
        [charts.Line("dispersion", reading.floats(rows, "return_dispersion"))],
        label="Cross-sectional standard deviation of daily returns",
        write=lambda v: numbers.share(v, 1),
    )
    return [
        Figure("Breadth", breadth, f"Share of securities that rose, last {len(dates)} sessions."),
        Figure("Dispersion", spread, "Standard deviation of one-day simple returns across securities."),
    ]


def _industry_figure(lake: Reader, session: date) -> Figure:
    rows = lake.read(
        "select industry, mean_return, n_bars from analyst.industry_day where trade_date = $session"
        " and mean_return is not null order by mean_return desc, industry",
        session=session,
    )
    shown = rows
    if rows.num_rows > MOST_INDUSTRIES:
        half = MOST_INDUSTRIES // 2
        shown = pa.concat_tables([rows.slice(0, half), rows.slice(rows.num_rows - half)])
    chart = charts.bars(
        shown["industry"].to_pylist(),
        reading.floats(shown, "mean_return"),
        label="Mean return by industry",
        write=numbers.change,
    )
    extent = f"the best and worst of {rows.num_rows}" if rows.num_rows > MOST_INDUSTRIES else f"all {rows.num_rows}"
    return Figure("Industries", chart, f"Equal-weighted one-day simple return; {extent}.")


def _return_figure(lake: Reader, session: date) -> Figure:
    rows = lake.read(
        "select simple_return_1d from analyst.daily_return where trade_date = $session"
        " and simple_return_1d is not null order by ts_code",
        session=session,
    )
    chart = charts.histogram(
        reading.floats(rows, "simple_return_1d"),
        label="Distribution of one-day returns",
        write=lambda v: numbers.change(v, 0),
        tell=numbers.change,
    )
    return Figure("Returns of the day", chart, f"One-day simple returns of {numbers.count(rows.num_rows)} securities.")


def _mover_tables(lake: Reader, session: date) -> list[Table]:
    tables = []
    for caption, order in (("Best of the day", "desc"), ("Worst of the day", "asc")):
        rows = lake.read(
            "select ts_code, name, industry, simple_return_1d, simple_return_20d, volatility_20d"
            " from analyst.daily_return where trade_date = $session and simple_return_1d is not null"
            f" order by simple_return_1d {order}, ts_code limit {N_MOVERS}",
            session=session,
        ).to_pylist()
        cells = [
            (
                blocks.link(row["ts_code"], "security"),
                blocks.name(row["name"]),
                blocks.number(numbers.change(row["simple_return_1d"]), blocks.tone_of(row["simple_return_1d"])),
                blocks.number(numbers.change(row["simple_return_20d"], 1), blocks.tone_of(row["simple_return_20d"])),
                blocks.number(numbers.share(row["volatility_20d"])),
            )
            for row in rows
        ]
        tables.append(Table(caption, ("Code", "Name", "1 session", "20 sessions", "Volatility"), cells))
    return tables


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


def _abnormal_table(lake: Reader, session: date) -> Table | Note:
    rows = lake.read(
        "select fingerprint, severity, rule, title, action from analyst.alert where state = 'open'"
        f" and subject_date = $session and rule in ({', '.join(repr(rule) for rule in MARKET_RULES)})"
        f" order by {ops.GRAVEST_FIRST}, rule, subject",
        session=session,
    ).to_pylist()
    if not rows:
        return _calm(lake, session)
    cells = [
        (
            blocks.text(row["severity"]),
            blocks.link(row["title"], "alert", row["fingerprint"]),
            blocks.text(row["action"]),
        )
        for row in rows
    ]
    return Table("Out of the ordinary", ("Severity", "What", "What to do"), cells, is_wide=True)
