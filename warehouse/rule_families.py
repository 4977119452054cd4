"""What is a rule about: the data, single bars, the market, or the models?

Alerts are read by family, because who is called differs: whoever runs the ingestion, whoever talks to the vendor,
whoever trades, whoever owns the models. Invariant: every rule that can open an alert has a family, which
tests/test_anomalies.py compares with the rules that run. Partners: `warehouse/checks.py`, `warehouse/outages.py`,
`flows/detecting.py`, `flows/alarm_budget.py`.
"""

from __future__ import annotations

DATA, BARS, MARKET, MODEL = "data", "bars", "market", "model"
FAMILIES = (DATA, BARS, MARKET, MODEL)

_RULES: dict[str, tuple[str, ...]] = {
    DATA: (
        "vendor_outage",
        "missing_day",
        "partial_day",
        "row_missing",
        "failed_load",
        "factors_not_compared",
        "calendar_disagreement",
        "mass_revision",
        "index_gap",
        "stale_series",
        "series_rebased",
        "series_revised_beyond_history",
        "series_fact_changed",
        "row_set_aside",
        "rule_broken",
        "message_waiting",
        "alarm_budget_exceeded",
    ),
    BARS: (
        "bar_missing",
        "bar_unknown",
        "null_column",
        "bar_order",
        "bar_incomplete",
        "pct_chg_disagrees",
        "vwap_outside_range",
        "basic_close_differs",
        "turnover_disagrees",
        "price_limit_broken",
        "adjustment_misfit",
        "change_disagrees",
        "bar_frozen",
        "bar_copied",
        "bar_repeated",
        "bar_on_closed_day",
        "volume_slip",
    ),
    MARKET: ("robust_z_outlier", "market_anomaly", "macro_anomaly"),
    MODEL: (
        "model_files_broken",
        "model_not_fitted",
        "model_held",
        "factor_space_jump",
        "feature_drift",
        "forecast_decay",
        "interval_coverage_off",
        "champion_lost",
    ),
}
OF_RULE: dict[str, str] = {rule: family for family, rules in _RULES.items() for rule in rules}


def of_rule(rule: str) -> str:
    """The family of a rule; `data` for one that a newer Daybook knows and this one does not."""
    return OF_RULE.get(rule, DATA)


def count_rules(family: str) -> int:
    """How many rules a family has.

    Raises:
        KeyError: there is no such family.
    """
    return len(_RULES[family])
