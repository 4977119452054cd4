"""How did a version learn, which features do its forecasts live on, and what did it expect of macro releases?

Blocks of the model's page, apart from what every version has. Partner: `model.py`.
"""

from __future__ import annotations

from reports import blocks, charts, numbers, reading
from reports.blocks import Block, Figure, Table
from reports.reading import Gathered

CURVE_COLUMNS = "epoch, training_loss, validation_loss"
IMPORTANCE_COLUMNS = "term, loss_increase, spread, n_shuffles, n_rows"
NEXT_VALUES = (
    "select f.model_version, f.series_id, s.title, s.unit, f.observation_date, f.forecast, f.std_error, f.n_lags"
    " from model.macro_forecast as f join macro.series as s using (series_id)"
    " where f.model_version in (select unnest($names)) and f.forecast_date <= $as_of"
    " order by f.model_version, f.series_id"
)
MOST_BARS = 20


def learning_blocks(version: str, curves: Gathered) -> list[Block]:
    """The losses of a network from pass to pass; nothing for models that learn in one step."""
    rows = curves.of(version)
    if not rows.num_rows:
        return []
    losses = reading.floats(rows, "validation_loss")
    chart = charts.line_chart(
        rows["epoch"].to_pylist(),
        [
            charts.Line("training", reading.floats(rows, "training_loss")),
            charts.Line("validation", losses),
        ],
        label=f"Losses of {version} by pass over the training rows",
        write=lambda v: numbers.decimal(v, 3),
        step="pass",
    )
    best = int(losses.argmin())
    caption = (
        "Mean squared error by pass over the training rows, in variances of their target; validation: the last dates,"
        f" which decide when to stop. The smallest is {numbers.decimal(losses[best], 4)}, after pass"
        f" {rows['epoch'][best]} of {rows.num_rows}."
    )
    return [Figure("Learning curve", chart, caption, source=curves.about(version))]


def importance_blocks(version: str, importance: Gathered) -> list[Block]:
    """What the forecasts lose when a feature is shuffled; nothing for versions fitted before it was measured."""
    rows, source = importance.of(version), importance.about(version)
    if not rows.num_rows:
        return []
    shown = rows.slice(0, MOST_BARS)
    chart = charts.bars(
        shown["term"].to_pylist(),
        reading.floats(shown, "loss_increase"),
        label=f"Importance of features in forecasts by {version}",
        write=lambda v: numbers.change(v, 3),
        tones=("pos", "neg"),
    )
    n_shuffles, n_rows = rows["n_shuffles"][0].as_py(), rows["n_rows"][0].as_py()
    caption = (
        "How far R² against the naive forecast falls when a feature is shuffled among the securities of each day: mean"
        f" of {n_shuffles} shuffles over {numbers.count(n_rows)} rows of the last fold, which the model had not seen."
        " Below zero: it did better without. Features that say the same share their importance."
        + (f" The first {MOST_BARS} of {rows.num_rows}; the table has all." if rows.num_rows > MOST_BARS else "")
    )
    cells = [
        (
            blocks.text(row["term"]),
            blocks.number(numbers.change(row["loss_increase"], 3)),
            blocks.number(numbers.share(row["spread"], 3)),
        )
        for row in rows.to_pylist()
    ]
    heads = ("Feature", "Loss of R²", "Spread of shuffles")
    return [
        Figure("Permutation importance", chart, caption, source=source),
        Table("Importance by feature", heads, cells, source=source),
    ]


def next_value_table(version: str, next_values: Gathered) -> list[Block]:
    """What a version expected macro series to be published as next."""
    rows = next_values.of(version).to_pylist()
    if not rows:
        return []
    cells = [
        (
            blocks.text(row["series_id"]),
            blocks.text(row["title"]),
            blocks.number(numbers.day(row["observation_date"])),
            blocks.number(numbers.estimate(row["forecast"], row["std_error"])),
            blocks.number(numbers.estimate(row["std_error"], row["std_error"])),
            blocks.number(numbers.count(row["n_lags"])),
            blocks.text(row["unit"]),
        )
        for row in rows
    ]
    heads = ("Series", "What", "Period", "Forecast", "Standard error", "Lags", "Unit")
    caption = "Next values, each from the series' own past"
    return [Table(caption, heads, cells, is_wide=True, source=next_values.about(version))]
