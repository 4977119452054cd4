"""What a column means that only an analyst's view has; the views themselves are in `warehouse/sql/views/`.

A view's column that a table behind the view has too, under the same name, inherits that table's meaning and needs no
line here. Keyed by name, or by `view.name` where one name means two things. Partner: `warehouse/dictionary.py`.
"""

from __future__ import annotations

from warehouse.contracts import Column
from warehouse.tables.market import TS_CODE

_OWN_SESSIONS = "of the security's own sessions, on back-adjusted closes"

_COLUMNS = (
    TS_CODE,
    Column("entity_name", "VARCHAR", "Title of the series or name of the security behind `entity`."),
    Column("session_date", "DATE", "The partition as a day; NULL when it is a series, an index or an exchange."),
    Column("coverage_fraction", "DOUBLE", "Rows received / rows expected, at most 1; NULL when none is known.", "1"),
    Column("arrived_at", "TIMESTAMPTZ", "Instant at which the first of the rows that stand was received."),
    Column("arrived_date", "DATE", "Shanghai's day of that instant."),
    Column(
        "hours_after_due",
        "DOUBLE",
        "From 17:00 in Shanghai on the session to that instant; NULL when unknown.",
        "hours",
    ),
    Column("unknown_because", "VARCHAR", "Why that instant does not say how late the vendor was; empty when it does."),
    *(
        Column(f"simple_return_{n}d", "DOUBLE", f"Simple return, a fraction, over {n} {_OWN_SESSIONS}.", "1")
        for n in (1, 5, 20, 60, 252)
    ),
    Column(
        "volatility_20d_annual",
        "DOUBLE",
        "Sample standard deviation of the last 20 one-day log returns x square root of 252; NULL with fewer.",
        "1 per square root of a year",
    ),
    Column(
        "median_volatility_20d_annual",
        "DOUBLE",
        "Median across securities of their `volatility_20d_annual`.",
        "1 per square root of a year",
    ),
    Column("realised_return_5d", "DOUBLE", "What came: log return over 5 sessions less the market's mean.", "1"),
    Column("newest_date", "DATE", "Newest day through which the dataset is known."),
    Column("n_partitions", "BIGINT", "Partitions in the ledger."),
    Column("row_id", "VARCHAR", "First 12 digits of the row's digest: what `daybook quarantine` knows it by."),
    Column("n_not_ok", "BIGINT", "Partitions of these that are not whole."),
    Column("close_points", "DOUBLE", "Closing level of the index.", "points"),
    Column("n_bars", "BIGINT", "Securities with a bar that session."),
    Column("n_up", "BIGINT", "Securities that rose."),
    Column("n_down", "BIGINT", "Securities that fell."),
    Column("n_unchanged", "BIGINT", "Securities that closed where they had."),
    Column("mean_return", "DOUBLE", "Equal-weighted mean simple return, a fraction.", "1"),
    Column("median_return", "DOUBLE", "Median simple return, a fraction.", "1"),
    Column("return_dispersion", "DOUBLE", "Sample standard deviation of the simple returns across securities.", "1"),
    Column("amount_cny", "DOUBLE", "Turnover; NULL in the early 1990s.", "CNY"),
    Column("volume_shares", "DOUBLE", "Volume, after-hours fixed-price trading left out.", "shares"),
    Column("turnover_fraction", "DOUBLE", "Volume / float shares; NULL when suspended.", "1"),
    *(
        Column(f"{price}_cny", "DOUBLE", f"{words} price, unadjusted.", "CNY")
        for price, words in (("open", "Opening"), ("high", "Highest"), ("low", "Lowest"), ("close", "Closing"))
    ),
    *(
        Column(f"{price}_adjusted_cny", "DOUBLE", f"{words} price x cumulative factor; NULL without a factor.", "CNY")
        for price, words in (("open", "Opening"), ("high", "Highest"), ("low", "Lowest"), ("close", "Closing"))
    ),
    Column("rank_ic", "DOUBLE", "Spearman correlation of forecasts and what came; NULL when all are equal.", "1"),
    Column("r2_against_naive", "DOUBLE", "1 less the ratio of the squared error to the naive forecast's.", "1"),
    Column("test_date_number", "BIGINT", "Number of the test date within its version's walk-forward test, from 1."),
    Column("decile", "BIGINT", "Tenth of the date's forecasts, from 1, the lowest, to 10, the highest."),
    Column("n_new", "BIGINT", "Securities that were not in the decile five test dates before; NULL on the first five."),
    Column("mean_predicted", "DOUBLE", "Mean forecast log return over 5 sessions in excess of the market's mean.", "1"),
    Column("mean_realised", "DOUBLE", "Mean of what came, in the same unit.", "1"),
    Column("previous_value", "DOUBLE", "Standing value of the period before.", "see unit"),
    Column("release_date", "DATE", "First day on which the period had a published value."),
    Column("is_release_date_estimated", "BOOLEAN", "Whether that day is period end plus the usual publication lag."),
    Column("first_value", "DOUBLE", "Value of the period as first published.", "see unit"),
    Column("previous_date", "DATE", "First day of the period before; NULL when it was not known that day."),
    Column("previous_first_value", "DOUBLE", "Value of the period before as first published.", "see unit"),
    Column("surprise", "DOUBLE", "First value less its forecast; NULL without a forecast.", "see unit"),
    Column(
        "previous_mean_change",
        "DOUBLE",
        "Forecast mean change a month that was published before.",
        "log points a month (codes 5 and 6) or unit of the series a month",
    ),
    Column("change", "DOUBLE", "Score less the score before.", "standard deviations"),
    Column("data_part", "DOUBLE", "new_data + revised: what data did to the score.", "standard deviations"),
    Column("refit_part", "DOUBLE", "rescaled + reloaded + completed: what the refit did.", "standard deviations"),
    Column("unexplained", "DOUBLE", "Change less all parts: rounding, below 1e-10.", "standard deviations"),
    Column("surprise_std_errors", "DOUBLE", "Surprise / standard error of the forecast.", "standard errors"),
)
_OF_A_VIEW = {
    "arrival.session_date": Column("session_date", "DATE", "Exchange session."),
    "alert_change.fingerprint": Column("fingerprint", "VARCHAR", "The alert; see `analyst.alert`."),
    "alert_change.state": Column("state", "VARCHAR", "State of the alert after the change."),
    "forecast.role": Column("role", "VARCHAR", "Part the version played on the forecast's day, `champion` and so on."),
    "rule_precision.n_alerts": Column("n_alerts", "BIGINT", "Alerts of the rule, whatever their state."),
    "rule_precision.n_labelled": Column("n_labelled", "BIGINT", "Alerts of these that people labelled."),
    "rule_precision.n_true": Column("n_true", "BIGINT", "Labelled alerts that were a trouble indeed."),
    "rule_precision.precision_fraction": Column(
        "precision_fraction", "DOUBLE", "True / labelled; NULL while nobody has labelled one.", "1"
    ),
    "rule_precision.recent_fraction": Column(
        "recent_fraction", "DOUBLE", "True / labelled among the 20 alerts labelled last; NULL while there is none.", "1"
    ),
    "rule_precision.labelled_date": Column("labelled_date", "DATE", "Day of the last label; NULL while there is none."),
    "rule_precision.is_mostly_wrong": Column(
        "is_mostly_wrong", "BOOLEAN", "Whether five or more are labelled and fewer than half of them true."
    ),
    "evaluation.n_rows": Column("n_rows", "BIGINT", "Rows tested."),
    "index_day.simple_return_1d": Column(
        "simple_return_1d", "DOUBLE", "Simple return, a fraction, on the vendor's previous close.", "1"
    ),
    "information_coefficient.n_rows": Column("n_rows", "BIGINT", "Securities compared that day."),
    "out_of_sample_decile.n_rows": Column("n_rows", "BIGINT", "Securities in the decile that day."),
    "macro_latest.value": Column("value", "DOUBLE", "Newest published value.", "see unit"),
    "factor_move.entity": Column("entity", "VARCHAR", "series_id."),
    "importance.n_rows": Column("n_rows", "BIGINT", "Rows tested."),
    "macro_outlook.squared_error": Column(
        "squared_error", "DOUBLE", "Square of what came less the forecast change.", "square of the change's unit"
    ),
    "macro_outlook.series_id": Column("series_id", "VARCHAR", "FRED's identifier."),
    "macro_outlook.forecast": Column("forecast", "DOUBLE", "The value that the forecast change means.", "see unit"),
    "macro_outlook.lower": Column(
        "lower", "DOUBLE", "Lower end of its 90 % interval; NULL: too few tests.", "see unit"
    ),
    "macro_outlook.upper": Column(
        "upper", "DOUBLE", "Upper end of its 90 % interval; NULL: too few tests.", "see unit"
    ),
    "macro_outlook.known_date": Column("known_date", "DATE", "Day of the run that first knew what came; NULL before."),
    "macro_news.entity": Column("entity", "VARCHAR", "series_id of the figure; empty for the other kinds."),
    "macro_news.observation_date": Column(
        "observation_date", "DATE", "Month of the figure; the new origin for the other kinds."
    ),
    "macro_coefficient.t_statistic": Column("t_statistic", "DOUBLE", "estimate / std_error; NULL without.", "1"),
    "macro_release.series_id": Column("series_id", "VARCHAR", "FRED's identifier."),
    "macro_release.observation_date": Column("observation_date", "DATE", "First day of the period described."),
    "macro_release.previous_value": Column(
        "previous_value", "DOUBLE", "Value of the period before as it stood that day.", "see unit"
    ),
    "macro_release.std_error": Column("std_error", "DOUBLE", "Standard error of the forecast.", "see unit"),
    "macro_release.forecast": Column(
        "forecast", "DOUBLE", "Newest forecast made before the day of release; NULL when there is none.", "see unit"
    ),
    "macro_vintage.value": Column("value", "DOUBLE", "Published value; NULL when published as missing.", "see unit"),
}

MEANINGS: dict[str, Column] = {column.name: column for column in _COLUMNS} | _OF_A_VIEW
