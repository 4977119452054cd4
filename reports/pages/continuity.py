"""What changed the published factors since they were published before: the data, or the fit?"""

from __future__ import annotations

from datetime import date

from reports import blocks, numbers
from reports.blocks import Block, Cell, Note, Table
from reports.tracing import Reader

MOST_FACTORS_SHOWN = 8
# What a split may miss by rounding.
TOLERANCE = 1e-10
PARTS = ("new_data", "revised", "rescaled", "reloaded", "completed")
HEADS = (
    "Factor",
    "Before",
    "Now",
    "Change",
    "New data",
    "Revised data",
    "Refit: means and scales",
    "Refit: loadings",
    "Refit: missing values",
)


def change_table(lake: Reader, version: str, as_of: date) -> Block:
    """The newest change of each factor of a version, split; it follows the scores that were published before.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        "select * from analyst.factor_change where model_version = $version and published_date <= $as_of"
        " qualify published_date = max(published_date) over (partition by model_version) order by factor"
        f" limit {MOST_FACTORS_SHOWN}",
        version=version,
        as_of=as_of,
    ).to_pylist()
    if not rows:
        return Note(
            "What changed the factors is not told: nothing was published before that the newest fit can be compared"
            " with, or too few values are known to tell the factors apart."
        )
    first = rows[0]
    cells: list[tuple[Cell, ...]] = [
        (
            blocks.text(f"factor {row['factor']}"),
            *(
                blocks.number(numbers.decimal(row[name], 3, signed=True))
                for name in ("previous_score", "score", "change", *PARTS)
            ),
        )
        for row in rows
    ]
    is_refit = first["previous_version"] != first["model_version"]
    how = f"refit after {first['previous_version']}" if is_refit else f"fit of {version[-10:]}, no refit"
    is_whole = all(abs(row["unexplained"]) <= TOLERANCE for row in rows)
    adds_up = "the parts add up to the change" if is_whole else "THE PARTS DO NOT ADD UP TO THE CHANGE"
    caption = (
        f"Why the factors changed from {first['previous_score_date']} to {first['score_date']}, published on"
        f" {first['published_date']}: {how} (standard deviations; {adds_up})"
    )
    return Table(caption, HEADS, cells, is_wide=True)
