"""What the rivals say of each macro target and horizon by what was known on a day.

Invariant: the same day gives the same forecasts whenever it is asked for, as the lake tells what was known then.
Partners: `models/macro_horizons.py`, which fits, `flows/macro_outlook.py`, which tests, decides and stores,
`flows/macro_news.py`, which asks for two days.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa

from flows.context import Context
from models import base, macro_horizons, transforms
from models.macro_horizons import HORIZONS, Forecast, MonthlyPanel
from models.macro_skill import Fold
from warehouse import panels, sql
from warehouse.lake import Lake

log = logging.getLogger(__name__)

QUARTER_END = 2

Key = tuple[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """The forecasts of one day.

    Args:
        panel: what was known.
        factors: by target, those of the panel cut at the target's newest month.
        n_months: by target, the panel's months up to that one.
        forecasts: by target and horizon, by rival.
        folds: by number of months, those of the walk-forward test.
    """

    panel: MonthlyPanel
    factors: dict[str, macro_horizons.Factors] = field(default_factory=dict)
    n_months: dict[str, int] = field(default_factory=dict)
    forecasts: dict[Key, dict[str, Forecast]] = field(default_factory=dict)
    folds: dict[int, list[Fold]] = field(default_factory=dict)

    def cut(self, target: str) -> MonthlyPanel:
        """The panel up to a target's newest month."""
        return self.panel.upto(self.n_months[target])


def make(context: Context, lake: Lake, as_of: date) -> Made | None:
    """The linear rivals' forecasts by what was known on a day; None without a panel.

    Raises:
        LakeError: the lake cannot be read.
    """
    panel = read_panel(lake, as_of, context.settings.macro_targets)
    if panel is None:
        return None
    made = Made(panel)
    by_length: dict[int, macro_horizons.Factors] = {}
    for target in panel.levels:
        newest = np.flatnonzero(np.isfinite(panel.own(target)))
        n_months = int(newest[-1]) + 1 if len(newest) else 0
        cut = panel.upto(n_months)
        try:
            if n_months not in by_length:
                by_length[n_months] = macro_horizons.fit_factors(cut, context.settings.macro_factors)
            found = {(target, h): macro_horizons.fit_linear(cut, by_length[n_months], target, h) for h in HORIZONS}
        except base.ModelError as exc:
            log.info("no macro outlook series_id=%s as_of=%s reason=%s", target, as_of, exc)
            continue
        made.factors[target], made.n_months[target] = by_length[n_months], n_months
        made.forecasts.update(found)
    return made


def read_panel(lake: Lake, as_of: date, targets: Sequence[str]) -> MonthlyPanel | None:
    """The macro panel's series and the targets by the month their values are of; None when the lake has too little.

    Raises:
        LakeError: the lake cannot be read.
    """
    values = panels.read_macro_values(lake, as_of)
    known = set(values["series_id"].to_pylist())
    if not known:
        return None
    absent = [target for target in targets if target not in known]
    if absent:
        columns = ["series_id", "frequency", "transform_code", "observation_date", "value"]
        levels = lake.read(sql.load("macro_levels_asof"), as_of=as_of)
        wanted = [one in absent for one in levels["series_id"].to_pylist()]
        values = pa.concat_tables([values.select(columns), levels.filter(pa.array(wanted)).select(columns)])
    series = values["series_id"].to_numpy(zero_copy_only=False)
    dates = values["observation_date"].to_numpy(zero_copy_only=False).astype("datetime64[M]")
    months = np.arange(dates.min(), dates.max() + 1 + QUARTER_END)
    names = tuple(sorted(set(series.tolist())))
    table = np.full((len(months), len(names)), np.nan)
    levels_of, codes = {}, {}
    for at, name in enumerate(names):
        own = values.filter(pa.array(series == name))
        frequency, code = own["frequency"][0].as_py(), own["transform_code"][0].as_py()
        level = own["value"].to_numpy(zero_copy_only=False).astype(np.float64)
        grid, on_grid = transforms.regular_grid(dates[series == name], level, frequency)
        changed = transforms.apply_transform(on_grid, code)
        # A quarter is known as a whole with its last month.
        place = (grid - months[0]).astype(int) + (QUARTER_END if frequency == "Q" else 0)
        table[place, at] = changed
        if name in targets and frequency == "M":
            whole = np.full(len(months), np.nan)
            whole[place] = on_grid
            levels_of[name], codes[name] = whole, code
    return MonthlyPanel(months, names, table, {name: levels_of[name] for name in targets if name in levels_of}, codes)
