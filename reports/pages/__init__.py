"""Which sections does the report have, and in which order?

Each section is a function of the lake and the day. It reads analyst views only, and where a view is empty it says why
and what to do, instead of showing an empty chart. To add a section, write one function and add one line here.

What is here
    overview.py    the first screen: is the day whole, what changed, the key figures
    market.py      index, volatility, breadth, limits, what is abnormal; movers.py: industries and securities
    macro.py       published values, macro factors, regimes
    equity.py      equity factors and groups of securities
    forecasts.py   who is forecast to do well, and what such forecasts were worth; its parts: contest.py (champion and
                   challengers), deciles.py (the day's lists), skill.py (what was forecast beside what came)
    anomalies.py   open alerts with their evidence, what was decided on, what has ended
    quality.py     is everything there: coverage, what came when, quarantine
    arrivals.py    what came late and which releases are overdue, for `quality.py`
    revisions.py   what vendors corrected and revised, for `quality.py`

What is not here: HTML, and numbers that no view holds.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from reports.blocks import Section
from reports.pages import anomalies, equity, forecasts, macro, market, overview, quality
from reports.tracing import Reader

SECTIONS: tuple[Callable[[Reader, date], Section], ...] = (
    overview.section,
    market.section,
    macro.section,
    equity.section,
    forecasts.section,
    anomalies.section,
    quality.section,
)
