"""Which things have a page of their own beside the days, and what does it show?

Each kind is a module with two functions: which things there are, and what the page of each shows, from the lake as it
was known on a day. What is asked about many securities is asked once. To add a kind, write a module, a line here and
its folder in `reports/addresses.py`.

What is here
    page.py        what every such page has: a title and sections, as the days have
    security.py    one security: price, forecasts, factors, alerts, corrections
    model.py       one fitted version: settings, training window, metrics, decisions, what its forecasts were worth
    factor.py      one factor: scores, loadings, how it moved from fit to fit
    alert.py       one alert: evidence, what to do, the rows its query returns

What is not here: HTML, files' names, and numbers that no view holds.
"""

from __future__ import annotations

from reports.subjects import alert, factor, model, security
from reports.subjects.page import Kind

KINDS: tuple[Kind, ...] = (
    Kind("security", "Securities", ("Industry",), security.read_entries, security.build),
    Kind("model", "Model versions", ("Model", "Fitted", "Part"), model.read_entries, model.build),
    Kind("factor", "Factors", ("Model", "Newest version"), factor.read_entries, factor.build),
    Kind("alert", "Alerts", ("State", "Severity", "Day"), alert.read_entries, alert.build),
)
