"""Which sections does the report have, and in which order?

Each section is a function of the lake and the day. It reads analyst views only, and where a view is empty it says why
and what to do, instead of showing an empty chart. To add a section, write one function and add one line here.

What is here
    overview.py    the first screen: is the day whole, what changed, the key figures
    market.py      index, breadth, industries, movers, what is abnormal
    macro.py       published values, macro factors, regimes
    equity.py      equity factors and groups of securities
    forecasts.py   who is forecast to do well, and what such forecasts were worth; its parts: contest.py (champion and
                   challengers), deciles.py (the day's lists), skill.py (what was forecast beside what came)
    quality.py     coverage, freshness, quarantine, corrections, alerts

What is not here: HTML, and numbers that no view holds.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from reports.blocks import Section
from reports.pages import equity, forecasts, macro, market, overview, quality
from reports.tracing import Reader

SECTIONS: tuple[Callable[[Reader, date], Section], ...] = (
    overview.section,
    market.section,
    macro.section,
    equity.section,
    forecasts.section,
    quality.section,
)
