"""What models say, and which version said it."""

from __future__ import annotations

from warehouse.contracts import Column, Table

MODEL_NAME = Column("model_name", "VARCHAR", "`macro_pca`, `equity_pca`, `ridge`, `mlp`, `macro_regime` and so on.")
MODEL_VERSION_ID = Column("model_version", "VARCHAR", "Model name and fit date, such as mlp/2026-11-20.")
FACTOR_NUMBER = Column("factor", "INTEGER", "Factor number from 1.")

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
        Column(
            "is_champion",
            "BOOLEAN",
            "Whether its fit may be used at all; who is in charge among the forecasts says model.version_role.",
        ),
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
        FACTOR_NUMBER,
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
        FACTOR_NUMBER,
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
        FACTOR_NUMBER,
        Column("score_date", "DATE", "Panel month (macro) or session (equity)."),
        Column("score", "DOUBLE", "Standardised panel row times loadings.", unit="standard deviations"),
    ),
)

FACTOR_MOVE = Table(
    schema="model",
    name="factor_move",
    grain=("model_version", "factor", "entity"),
    meaning="One row per macro factor and series: its part in the factor's move over the panel's last month.",
    source="flows/factors.py; the parts of a factor add up to the difference of its last two scores.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        FACTOR_NUMBER,
        Column("entity", "VARCHAR", "series_id."),
        Column("score_date", "DATE", "The panel's last month."),
        Column("step", "DOUBLE", "Change of the transformed series over that month.", unit="standard deviations"),
        Column("contribution", "DOUBLE", "step x loading.", unit="standard deviations"),
        Column(
            "is_completed",
            "BOOLEAN",
            "Whether a value of the two months was missing or wild, so that what the factors say of it stands in.",
        ),
    ),
)

FACTOR_CHANGE = Table(
    schema="model",
    name="factor_change",
    grain=("model_version", "factor", "score_date"),
    meaning="One row per factor and publication of its newest score: what changed it since the publication before.",
    source="models/stability.py; score - previous_score is the sum of the five parts but for rounding.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        FACTOR_NUMBER,
        Column("score_date", "DATE", "Panel month (macro) or session (equity)."),
        Column("published_date", "DATE", "Day of the refit, or the session that was scored."),
        Column("previous_version", "VARCHAR", "Version that published the score before."),
        Column("previous_score_date", "DATE", "Panel month or session of the score before."),
        Column("previous_score", "DOUBLE", "The score before, as published.", unit="standard deviations"),
        Column("score", "DOUBLE", "Standardised panel row times loadings.", unit="standard deviations"),
        Column(
            "new_data",
            "DOUBLE",
            "What the new month or session did, by the fit before.",
            unit="standard deviations",
        ),
        Column(
            "revised",
            "DOUBLE",
            "What revisions of the month or session before did, by the fit before.",
            unit="standard deviations",
        ),
        Column("rescaled", "DOUBLE", "What the refit's means and scales did.", unit="standard deviations"),
        Column("reloaded", "DOUBLE", "What the refit's loadings did.", unit="standard deviations"),
        Column(
            "completed",
            "DOUBLE",
            "What the refit did by completing missing values in its own way.",
            unit="standard deviations",
        ),
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
            "`rmse`, `mae`, `r2_oos`, `rank_ic_mean`, `rank_ic_t`, `hit_rate`, `dm_p_value`, `cw_p_value`, `interval_coverage`, `interval_nominal`, `interval_coverage_adaptive`, `r2_oos_seed_min`, `r2_oos_seed_max`, `rank_ic_seed_min`, `rank_ic_seed_max`, `silhouette`, `subspace_angle` (radians, to the fit before).",
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

ROLES = ("champion", "challenger", "held", "retired", "refused")

VERSION_ROLE = Table(
    schema="model",
    name="version_role",
    grain=("decision",),
    meaning="One row per decision about the part a forecasting version plays; the newest of a version counts.",
    source="models/promotion.py and `daybook models`; rows are added, never changed.",
    columns=(
        Column("decision", "BIGINT", "Number of the decision, from 1."),
        Column("as_of_date", "DATE", "Day of the decision; nothing known later entered it."),
        MODEL_VERSION_ID,
        MODEL_NAME,
        Column(
            "role",
            "VARCHAR",
            "`champion` (its forecasts count), `challenger` (scored beside it), `held` (not used until a person releases it), `retired`, `refused` (could not be fitted).",
        ),
        Column("reason", "VARCHAR", "Why, in words."),
        Column("evidence", "VARCHAR", "The figures behind it, as JSON."),
        Column("decided_by", "VARCHAR", "`rule`, or who decided."),
        Column("files_sha256", "VARCHAR", "Digest of the version that was judged."),
        Column("decided_at", "TIMESTAMPTZ", "Instant of the decision.", provenance=True),
    ),
)

FORECAST_OUTCOME = Table(
    schema="model",
    name="forecast_outcome",
    grain=("model_version", "forecast_date"),
    meaning="One row per version and day it forecast, once what came is known: how good its published forecasts were.",
    source="flows/outcomes.py.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        Column("forecast_date", "DATE", "Session after which the forecasts were made."),
        Column("known_date", "DATE", "Day of the run that first knew what came."),
        Column("n_rows", "BIGINT", "Securities whose outcome was known."),
        Column("squared_error", "DOUBLE", "Mean squared error of the forecasts.", unit="1"),
        Column("naive_squared_error", "DOUBLE", "The same of the forecast of no excess return.", unit="1"),
        Column(
            "rank_ic", "DOUBLE", "Spearman correlation with what came; NULL if all are equal.", unit="1", nullable=True
        ),
        Column("nominal_coverage", "DOUBLE", "Share of outcomes the intervals promised to hold.", unit="1"),
        Column("realised_coverage", "DOUBLE", "Share of outcomes they held.", unit="1"),
    ),
)

LEARNING_CURVE = Table(
    schema="model",
    name="learning_curve",
    grain=("model_version", "epoch"),
    meaning="One row per pass over the training rows of a fitted network: its losses after the pass.",
    source="models/mlp.py.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        Column("epoch", "INTEGER", "Pass over the training rows, from 1."),
        Column(
            "training_loss",
            "DOUBLE",
            "Mean squared error on the rows trained on, while the pass went on, in variances of their target.",
            unit="1",
        ),
        Column(
            "validation_loss",
            "DOUBLE",
            "The same after the pass, on the last dates, which decide when to stop.",
            unit="1",
        ),
    ),
)

IMPORTANCE = Table(
    schema="model",
    name="importance",
    grain=("model_version", "term"),
    meaning="One row per model version and feature: what its forecasts lose when the feature is shuffled within each day.",
    source="models/importance.py, on the last fold of the walk-forward test.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        Column("term", "VARCHAR", "Feature name."),
        Column(
            "loss_increase",
            "DOUBLE",
            "Rise of the mean squared error, mean over the shuffles, as a share of the naive forecast's.",
            unit="1",
        ),
        Column("spread", "DOUBLE", "Standard deviation of that rise from shuffle to shuffle.", unit="1"),
        Column("n_shuffles", "BIGINT", "Shuffles."),
        Column("n_rows", "BIGINT", "Rows tested."),
    ),
)

MACRO_FORECAST = Table(
    schema="model",
    name="macro_forecast",
    grain=("model_version", "series_id"),
    meaning="One row per refit and macro series: what its next period was forecast to be first published as.",
    source="models/next_value.py.",
    columns=(
        MODEL_VERSION_ID,
        MODEL_NAME,
        Column("series_id", "VARCHAR", "FRED's identifier."),
        Column("observation_date", "DATE", "First day of the period forecast: the one after the newest known."),
        Column("forecast_date", "DATE", "Day of the refit; nothing known later entered."),
        Column("forecast", "DOUBLE", "Forecast of the value.", unit="see macro.series"),
        Column(
            "std_error",
            "DOUBLE",
            "Standard error of the forecast, from the residuals of its fit.",
            unit="see macro.series",
        ),
        Column("n_lags", "INTEGER", "Own past periods the forecast is made from."),
        Column("n_rows", "BIGINT", "Periods the forecast was fitted on."),
    ),
)
