"""What models say, and which version said it."""

from __future__ import annotations

from warehouse.contracts import Column, Table

MODEL_NAME = Column("model_name", "VARCHAR", "`macro_pca`, `equity_pca`, `ridge`, `mlp`, `macro_regime` and so on.")
MODEL_VERSION_ID = Column("model_version", "VARCHAR", "Model name and fit date, such as mlp/2026-11-20.")

MODEL_VERSION = Table(
    schema="model",
    name="model_version",
    grain=("model_version",),
    meaning="One row per fitted model: what it was fitted on, how, and where its files are.",
    source="flows/scoring.py.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        Column("as_of_date", "DATE", "Nothing known later entered the fit."),
        Column("train_start", "DATE", "First date in training."),
        Column("train_end", "DATE", "Last date in training."),
        Column("n_rows", "BIGINT", "Rows or dates in training."),
        Column("n_rows_dropped", "BIGINT", "Rows left out of training for missing values."),
        Column("params", "VARCHAR", "Parameters as JSON, seed included."),
        Column("is_converged", "BOOLEAN", "Whether the fit converged."),
        Column("is_champion", "BOOLEAN", "Whether this version scores the market."),
        Column("files_sha256", "VARCHAR", "Digest over the version's files."),
        Column("code_version", "VARCHAR", "Daybook version that fitted it."),
        Column("snapshot", "BIGINT", "Lake snapshot the fit read.", provenance=True),
        Column("fitted_at", "TIMESTAMPTZ", "Instant of the fit.", provenance=True),
    ),
)

FACTOR = Table(
    schema="model",
    name="factor",
    grain=("model_version", "factor"),
    meaning="One row per fitted factor: its size, and how far it moved from its predecessor.",
    source="models/pca.py.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        Column("factor", "INTEGER", "Factor number from 1."),
        Column("eigenvalue", "DOUBLE", "Eigenvalue of the correlation matrix.", unit="1"),
        Column("explained_variance_ratio", "DOUBLE", "Share of the panel's variance, 0 to 1.", unit="1"),
        Column(
            "predecessor_correlation",
            "DOUBLE",
            "Correlation of its scores with the predecessor's on common dates; NULL for a first fit.",
            unit="1",
            nullable=True,
        ),
    ),
)

FACTOR_LOADING = Table(
    schema="model",
    name="factor_loading",
    grain=("model_version", "factor", "entity"),
    meaning="One row per fitted factor and series or security.",
    source="models/pca.py.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        Column("factor", "INTEGER", "Factor number from 1."),
        Column("entity", "VARCHAR", "series_id or ts_code."),
        Column("loading", "DOUBLE", "Weight in the unit-length eigenvector.", unit="1"),
        Column("marginal_r2", "DOUBLE", "Share of the entity's variance this factor adds, 0 to 1.", unit="1"),
    ),
)

FACTOR_SCORE = Table(
    schema="model",
    name="factor_score",
    grain=("model_version", "factor", "score_date"),
    meaning="One row per fitted factor and date.",
    source="models/pca.py.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        Column("factor", "INTEGER", "Factor number from 1."),
        Column("score_date", "DATE", "Panel month (macro) or session (equity)."),
        Column("score", "DOUBLE", "Standardised panel row times loadings.", unit="standard deviations"),
    ),
)

COEFFICIENT = Table(
    schema="model",
    name="coefficient",
    grain=("model_version", "term"),
    meaning="One row per term of a fitted regression.",
    source="models/regression.py.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        Column("term", "VARCHAR", "Feature name, or `intercept`."),
        Column("estimate", "DOUBLE", "Coefficient on the standardised feature.", unit="1"),
        Column(
            "std_error", "DOUBLE", "Standard error, robust to what a date shares and to overlapping targets.", unit="1"
        ),
        Column("t_statistic", "DOUBLE", "estimate / std_error.", unit="1"),
    ),
)

FORECAST = Table(
    schema="model",
    name="forecast",
    grain=("model_version", "ts_code", "forecast_date"),
    meaning="One row per model version, security and day: the forecast made that day.",
    source="flows/scoring.py.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        Column("ts_code", "VARCHAR", "Tushare security code."),
        Column("forecast_date", "DATE", "Session after which the forecast was made."),
        Column("horizon", "INTEGER", "Sessions ahead.", unit="sessions"),
        Column(
            "forward_return_5d",
            "DOUBLE",
            "Forecast log return over the next 5 sessions, in excess of the market's mean.",
            unit="1",
        ),
        Column("lower", "DOUBLE", "Lower end of the 90 % conformal interval.", unit="1"),
        Column("upper", "DOUBLE", "Upper end of the 90 % conformal interval.", unit="1"),
    ),
)

EVALUATION = Table(
    schema="model",
    name="evaluation",
    grain=("model_version", "fold", "metric"),
    meaning="One row per model version, walk-forward fold and metric; fold 0 is all folds together.",
    source="models/evaluation.py.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        Column("fold", "INTEGER", "Fold number from 1; 0 for all folds together."),
        Column("test_start", "DATE", "First date tested."),
        Column("test_end", "DATE", "Last date tested."),
        Column(
            "metric",
            "VARCHAR",
            "`rmse`, `mae`, `r2_oos`, `rank_ic_mean`, `rank_ic_t`, `hit_rate`, `dm_p_value`, `interval_coverage`, `silhouette`, `subspace_angle` (radians, to the fit before).",
        ),
        Column("value", "DOUBLE", "Value of the metric; NULL when undefined.", unit="see metric", nullable=True),
        Column("n_rows", "BIGINT", "Rows tested."),
    ),
)

OUT_OF_SAMPLE = Table(
    schema="model",
    name="out_of_sample",
    grain=("model_version", "ts_code", "forecast_date"),
    meaning="One row per walk-forward test forecast, beside what came: the material of every figure about skill.",
    source="models/evaluation.py.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        Column("ts_code", "VARCHAR", "Tushare security code."),
        Column("forecast_date", "DATE", "Session after which the forecast would have been made."),
        Column("fold", "INTEGER", "Walk-forward fold from 1."),
        Column("predicted", "DOUBLE", "Forecast log return in excess of the market's mean.", unit="1"),
        Column("realised", "DOUBLE", "What came, in the same unit.", unit="1"),
    ),
)

CLUSTER = Table(
    schema="model",
    name="cluster",
    grain=("model_version", "entity"),
    meaning="One row per clustered thing: a month's macro regime, or a security's group.",
    source="models/cluster.py.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        Column("entity", "VARCHAR", "Panel month (YYYY-MM-DD) or ts_code."),
        Column("cluster", "INTEGER", "Cluster number from 1, by size."),
    ),
)
