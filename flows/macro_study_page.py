"""The study of macro forecasts as a page of Markdown. Partner: `flows/macro_study.py`, which makes its rows."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

from flows.macro_study import FIRST_JUDGE, LAST_JUDGE, Comparison

# McCracken and Ng (2016), Table 4: FRED-MD 2015-05, one factor against AR, by target and horizon.
PUBLISHED = {("INDPRO", 6): 0.92, ("INDPRO", 12): 0.90, ("PAYEMS", 6): 0.97, ("PAYEMS", 12): 0.53}
SIGNIFICANCE = 0.05

HEAD = """# Forecasts of macro series by one factor

This page is made by

```console
daybook forecast-study {vintages} --file {file} --out docs/macro_forecasts.md
```

Each forecast is of the mean change a month over the next h months: of the log for INDPRO and PAYEMS, of the level for
UNRATE; for CPIAUCSL of the log, less the change of the month it is made in. *AR* regresses that on 1 to 6 last changes
of the series itself, *diffusion index* on these and on 1 to 6 last months of the first of eight factors; BIC chooses
the lags anew for each forecast. *Mean* is the mean of what is known by then. Below 1, the ratio of mean squared errors
is in favour of the factor. p (DM) is Diebold and Mariano's, two-sided: were the forecasts equally good? p (CW) is Clark
and West's, one-sided: does the factor matter once the noise of its coefficients is set aside? *Ex worst* leaves out the
12 + h months on end over which the mean's squared errors add up to most.
"""

ON_FILE = """
## On one file

FRED-MD 2015-05, outcomes from 1990-01 to 2014-12. For each forecast, outliers, factors and coefficients are computed
from the rows up to its month. *Published* is table 4 of McCracken and Ng (2016); the choice of lags and of the
benchmark is ours and may not be theirs.
"""

# Tried once on the same file, with the first factor of the series that have no holes.
READINGS_TRIED = (
    "Other readings were tried on the same file, with the factor of the series without holes: four, one or no own "
    "lags, or up to 12 by BIC with none allowed; one lag of the factor or four; employment as twice differenced; "
    "the single month at the end of the horizon in place of the mean over it; origins from 1990 in place of "
    "outcomes. None gives all four figures: four lags of each come nearest (0.91, 0.94, 0.98 and 1.01), and "
    "employment at 12 months comes out at 0.53 only where neither side has lags of its growth, which makes it 0.38 "
    "at 6. With the series' own change over the whole horizon for its last months, 1 to 6 of them by BIC, it is "
    "0.89, 0.94, 0.93 and 0.92.\n"
)

IN_REAL_TIME = """
## In real time

Each forecast is made from its own vintage of FRED-MD alone and judged twice: by the first vintage that has the outcome
(*{first}*), and by the newest vintage of the archive (*{last}*). An origin counts once, with the first
vintage that ends in it; where the archive skips vintages, the forecasts between are absent.
"""


def render(on_file: Sequence[Comparison], in_real_time: Sequence[Comparison], *, vintages: str, file: str) -> str:
    """The page, with the command that makes it and what was found in words.

    Args:
        on_file, in_real_time: rows of the study.
        vintages, file: names of what was read, as the command shows them.

    Returns:
        Markdown.
    """
    real_time_head = IN_REAL_TIME.format(first=FIRST_JUDGE, last=LAST_JUDGE)
    parts = [HEAD.format(vintages=vintages, file=file), ON_FILE.lstrip(), _table(on_file, "Published", _published)]
    parts += [
        "\n" + _wrapped(_against_published(on_file)),
        _wrapped(READINGS_TRIED),
        real_time_head.lstrip(),
        _table(in_real_time, "Judged by", _judge),
    ]
    parts += ["\n" + _wrapped(_in_words(in_real_time))]
    return "\n".join(parts)


def _wrapped(paragraph: str) -> str:
    return textwrap.fill(paragraph, 120, break_on_hyphens=False) + "\n"


def _table(rows: Sequence[Comparison], extra: str, value: Callable[[Comparison], str]) -> str:
    columns = ["series", "h", extra, "forecasts", "origins", "ratio to AR", "p (DM)", "p (CW)", "ex worst", "to mean"]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in rows:
        lines.append(
            f"| {row.target} | {row.horizon} | {value(row)} | {row.n_forecasts} | {row.first} to {row.last} "
            f"| {row.ratio:.2f} | {row.dm_p_value:.3f} | {row.cw_p_value:.3f} | {row.ratio_ex_worst:.2f} "
            f"| {row.ratio_to_mean:.2f} |"
        )
    return "\n".join(lines)


def _published(row: Comparison) -> str:
    return f"{PUBLISHED[row.target, row.horizon]:.2f}" if (row.target, row.horizon) in PUBLISHED else ""


def _judge(row: Comparison) -> str:
    return row.judged_by


def _against_published(rows: Sequence[Comparison]) -> str:
    pairs = [(row, PUBLISHED[row.target, row.horizon]) for row in rows if (row.target, row.horizon) in PUBLISHED]
    near = [f"{row.target} at {row.horizon}" for row, printed in pairs if abs(row.ratio - printed) <= 0.05]
    far = [(row, printed) for row, printed in pairs if abs(row.ratio - printed) > 0.05]
    lines = [f"Within 0.05 of the published figure: {', '.join(near) or 'none'}."]
    for row, printed in far:
        to_mean = "; against the mean alone it is" if abs(row.ratio_to_mean - printed) <= 0.05 else "; against the mean"
        lines.append(
            f"Not reproduced: {row.target} at {row.horizon}, published {printed:.2f}, found {row.ratio:.2f}{to_mean} "
            f"{row.ratio_to_mean:.2f}."
        )
    return " ".join(lines) + "\n"


def _in_words(rows: Sequence[Comparison]) -> str:
    def named(chosen: Sequence[Comparison]) -> str:
        return ", ".join(f"{row.target} at {row.horizon} ({row.judged_by})" for row in chosen) or "none"

    better = [row for row in rows if row.ratio < 1 and row.dm_p_value < SIGNIFICANCE]
    worse = [row for row in rows if row.ratio > 1 and row.dm_p_value < SIGNIFICANCE]
    matters = [row for row in rows if row.cw_p_value < SIGNIFICANCE]
    n_below = sum(row.ratio < 1 for row in rows)
    n_below_ex_worst = sum(row.ratio_ex_worst < 1 for row in rows)
    return (
        f"In real time the factor's squared errors are the smaller ones in {n_below} of {len(rows)} rows, without the "
        f"worst months in {n_below_ex_worst}. Significantly smaller at 5 % by Diebold and Mariano: {named(better)}. "
        f"Significantly larger: {named(worse)}. Clark and West find the factor to matter for: {named(matters)}. "
        f"{len(rows)} rows are tested at once, and neighbouring rows share their forecasts, so single p values below "
        "5 % are to be expected by chance.\n"
    )
