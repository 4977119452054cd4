"""Which features there are: formula, unit, source and window of each, in one place.

From this list come the columns of `feature.feature` with the comments that an analyst sees, what is computed
(`warehouse/feature_series.py` has the statistics by name), the tests that every feature passes through, and the table
in `docs/features.md`. A new feature is one entry here; a new statistic or series is a function there besides.

Windows count the market's sessions, a security's own only where the series says so. A session that a security did not
trade, or before it was listed, is missing: it is left out, and with fewer than `fewest` sessions left a feature is NULL.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# The index that stands for the market; where it has no value, the mean log return of all securities does.
MARKET_INDEX = "000300.SH"

RETURN_COLUMNS = (
    *(f"log_return_{window}d" for window in (1, 5, 20, 60, 252)),
    "volatility_20d",
    "drawdown_252d",
)
BAR_COLUMNS = ("open", "high", "low", "pre_close", "amount")
BASIC_COLUMNS = ("turnover_rate", "pe_ttm", "pb", "ps_ttm")


@dataclass(frozen=True, slots=True)
class Series:
    """One value for each security and session, from which features are computed.

    Args:
        name: what features call it; a column of feature.log_return is a series of its own name.
        meaning: the formula in words.
        columns: what of the lake it is made from.
    """

    name: str
    meaning: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of feature.feature.

    Args:
        name: the column.
        meaning: the formula in words, without the rule for what is missing.
        unit: `"1"` for a dimensionless number.
        source: paper, with year, journal and volume.
        statistic: what is computed, one of `feature_series.STATISTICS`.
        of: series it is computed from.
        window: market sessions it looks at, the day's own included; 1 for the day's value alone.
        fewest: sessions of the window that must be there.
    """

    name: str
    meaning: str
    unit: str
    source: str
    statistic: str
    of: tuple[str, ...]
    window: int = 1
    fewest: int = 1

    @property
    def comment(self) -> str:
        """What the analyst reads: formula, source, and when it is NULL."""
        rule = f"; NULL with fewer than {self.fewest} of {self.window} sessions" if self.window > 1 else ""
        return f"{self.meaning} ({self.source}){rule}."


SERIES = (
    *(Series(name, "as stored", (f"feature.log_return.{name}",)) for name in RETURN_COLUMNS),
    Series(
        "impact",
        "absolute log return of the session per 100 million CNY traded",
        ("feature.log_return.log_return_1d", "market.daily.amount"),
    ),
    Series("turnover_fraction", "shares traded over float shares", ("market.daily_basic.turnover_rate",)),
    Series("log_amount", "ln of CNY traded", ("market.daily.amount",)),
    Series("range", "ln of highest over lowest price", ("market.daily.high", "market.daily.low")),
    Series(
        "overnight_return",
        "ln of opening price over the previous close adjusted for ex-rights",
        ("market.daily.open", "market.daily.pre_close"),
    ),
    Series(
        "log_float_value",
        "ln of float market value in CNY: CNY traded over the share of the float traded",
        ("market.daily.amount", "market.daily_basic.turnover_rate"),
    ),
    Series("book_to_price", "1 over pb", ("market.daily_basic.pb",)),
    Series(
        "earnings_to_price", "1 over pe_ttm, which the vendor leaves out for losses", ("market.daily_basic.pe_ttm",)
    ),
    Series("sales_to_price", "1 over ps_ttm", ("market.daily_basic.ps_ttm",)),
    Series(
        "market_return",
        f"log return of index {MARKET_INDEX} over its previous close, else the mean log return of all securities",
        ("market.index_daily.close", "market.index_daily.pre_close", "feature.log_return.log_return_1d"),
    ),
    Series(
        "size_return",
        "mean log return of the 30 % of securities with the least float value at the session before, less that of the"
        " 30 % with the most",
        ("feature.log_return.log_return_1d", "market.daily.amount", "market.daily_basic.turnover_rate"),
    ),
    Series(
        "value_return",
        "mean log return of the 30 % of securities with the highest earnings to price at the session before, less that"
        " of the 30 % with the lowest",
        ("feature.log_return.log_return_1d", "market.daily_basic.pe_ttm"),
    ),
)

_COMMON = ("market_return", "size_return", "value_return")
_MARKET = f"index {MARKET_INDEX} (where it has no value, the mean of all securities)"
_LEADING = "market, size and value returns"
_JEGADEESH_TITMAN = "Jegadeesh and Titman 1993, Journal of Finance 48(1)"
_LOW_VOLATILITY = "Baker, Bradley and Wurgler 2011, Financial Analysts Journal 67(1)"
_OVERNIGHT = "Lou, Polk and Skouras 2019, Journal of Financial Economics 134(1)"
_THREE_FACTORS = "Fama and French 1993, Journal of Financial Economics 33(1)"
_PER_ROOT_SESSION = "1 per square root of a session"


def _of_return(name: str, meaning: str, source: str, of: tuple[str, ...], statistic: str = "value") -> Feature:
    return Feature(name, meaning, "1", source, statistic, of)


# What versions fitted before there were more were fitted on, in this order; the others follow.
FIRST_FEATURES = (
    _of_return(
        "momentum_252d_20d",
        "Log return from 252 to 20 own sessions ago",
        _JEGADEESH_TITMAN,
        ("log_return_252d", "log_return_20d"),
        "difference",
    ),
    _of_return("momentum_60d", "Log return over 60 own sessions", _JEGADEESH_TITMAN, ("log_return_60d",)),
    _of_return(
        "reversal_5d",
        "Minus the log return over 5 own sessions",
        "Lehmann 1990, Quarterly Journal of Economics 105(1)",
        ("log_return_5d",),
        "negative",
    ),
    Feature(
        "volatility_20d",
        "Standard deviation of the last 20 own log returns",
        _PER_ROOT_SESSION,
        _LOW_VOLATILITY,
        "value",
        ("volatility_20d",),
    ),
    _of_return(
        "drawdown_252d",
        "Back-adjusted close over its highest in 252 own sessions, minus 1",
        "George and Hwang 2004, Journal of Finance 59(5)",
        ("drawdown_252d",),
    ),
    Feature(
        "turnover_fraction_20d",
        "Mean share of the float traded a session, last 20",
        "1",
        "Datar, Naik and Radcliffe 1998, Journal of Financial Markets 1(2)",
        "mean",
        ("turnover_fraction",),
        20,
        10,
    ),
    Feature(
        "amihud_20d",
        "Mean absolute log return per 100 million CNY traded, last 20 sessions",
        "1 per 100 million CNY",
        "Amihud 2002, Journal of Financial Markets 5(1)",
        "mean",
        ("impact",),
        20,
        10,
    ),
    Feature(
        "beta_60d",
        f"Slope of log returns on {_MARKET}, last 60 sessions",
        "1",
        "Sharpe 1964, Journal of Finance 19(3)",
        "beta",
        ("log_return_1d", "market_return"),
        60,
        30,
    ),
)

FEATURES = (
    *FIRST_FEATURES,
    _of_return(
        "reversal_1d",
        "Minus the log return of the session",
        "Nagel 2012, Review of Financial Studies 25(7)",
        ("log_return_1d",),
        "negative",
    ),
    _of_return(
        "reversal_20d",
        "Minus the log return over 20 own sessions",
        "Jegadeesh 1990, Journal of Finance 45(3)",
        ("log_return_20d",),
        "negative",
    ),
    Feature(
        "volatility_60d",
        "Standard deviation of log returns, last 60 sessions",
        _PER_ROOT_SESSION,
        _LOW_VOLATILITY,
        "std",
        ("log_return_1d",),
        60,
        30,
    ),
    Feature(
        "downside_volatility_60d",
        "Root of the mean square of log returns, gains counted as 0, last 60 sessions",
        _PER_ROOT_SESSION,
        "Sortino and van der Meer 1991, Journal of Portfolio Management 17(4)",
        "downside",
        ("log_return_1d",),
        60,
        30,
    ),
    Feature(
        "skewness_60d",
        "Adjusted Fisher-Pearson skewness of log returns, last 60 sessions",
        "1",
        "Bali, Engle and Murray 2016, Empirical Asset Pricing, chapter 14",
        "skewness",
        ("log_return_1d",),
        60,
        30,
    ),
    Feature(
        "max_return_20d",
        "Highest log return of a session, last 20",
        "1",
        "Bali, Cakici and Whitelaw 2011, Journal of Financial Economics 99(2)",
        "highest",
        ("log_return_1d",),
        20,
        10,
    ),
    Feature(
        "range_volatility_20d",
        "Volatility from highs and lows: root of the mean of ln(high / low)^2 over 4 ln 2, last 20 sessions",
        _PER_ROOT_SESSION,
        "Parkinson 1980, Journal of Business 53(1)",
        "range_volatility",
        ("range",),
        20,
        10,
    ),
    _of_return(
        "gap_1d",
        "ln of the opening price over the previous close adjusted for ex-rights",
        _OVERNIGHT,
        ("overnight_return",),
    ),
    Feature(
        "gap_20d",
        "Mean of ln(open / previous close), last 20 sessions",
        "1 per session",
        _OVERNIGHT,
        "mean",
        ("overnight_return",),
        20,
        10,
    ),
    Feature(
        "volume_trend_20d",
        "Slope of ln(CNY traded) on time, last 20 sessions",
        "1 per session",
        "Gervais, Kaniel and Mingelgrin 2001, Journal of Finance 56(3)",
        "trend",
        ("log_amount",),
        20,
        10,
    ),
    Feature(
        "price_volume_correlation_20d",
        "Correlation of log return and ln(CNY traded), last 20 sessions",
        "1",
        "Karpoff 1987, Journal of Financial and Quantitative Analysis 22(1)",
        "correlation",
        ("log_return_1d", "log_amount"),
        20,
        10,
    ),
    Feature(
        "residual_volatility_60d",
        f"Standard error of the regression of log returns on {_MARKET}, last 60 sessions",
        _PER_ROOT_SESSION,
        "Sharpe 1963, Management Science 9(2)",
        "residual",
        ("log_return_1d", "market_return"),
        60,
        30,
    ),
    Feature(
        "size_beta_60d",
        f"Slope on the size return in the regression of log returns on {_LEADING}, last 60 sessions",
        "1",
        _THREE_FACTORS,
        "beta_2",
        ("log_return_1d", *_COMMON),
        60,
        30,
    ),
    Feature(
        "value_beta_60d",
        f"Slope on the value return in the regression of log returns on {_LEADING}, last 60 sessions",
        "1",
        f"{_THREE_FACTORS}; by earnings, Liu, Stambaugh and Yuan 2019, same journal 134(1)",
        "beta_3",
        ("log_return_1d", *_COMMON),
        60,
        30,
    ),
    Feature(
        "factor_residual_volatility_60d",
        f"Standard error of the regression of log returns on {_LEADING}, last 60 sessions",
        _PER_ROOT_SESSION,
        "Ang, Hodrick, Xing and Zhang 2006, Journal of Finance 61(1)",
        "residual",
        ("log_return_1d", *_COMMON),
        60,
        30,
    ),
    Feature(
        "log_float_value",
        "ln of float market value in CNY, as CNY traded over the share of the float traded",
        "ln CNY",
        "Banz 1981, Journal of Financial Economics 9(1)",
        "value",
        ("log_float_value",),
    ),
    _of_return(
        "book_to_price",
        "Book value over price, 1 / pb",
        "Fama and French 1992, Journal of Finance 47(2)",
        ("book_to_price",),
    ),
    _of_return(
        "earnings_to_price",
        "Earnings of the trailing year over price, 1 / pe_ttm; NULL for losses",
        "Basu 1977, Journal of Finance 32(3)",
        ("earnings_to_price",),
    ),
    _of_return(
        "sales_to_price",
        "Sales of the trailing year over price, 1 / ps_ttm",
        "Barbee, Mukherji and Raines 1996, Financial Analysts Journal 52(2)",
        ("sales_to_price",),
    ),
)

# The longest window, and the session before it, by whose figures size and value returns are sorted.
HISTORY_SESSIONS = max(one.window for one in FEATURES)

SIZE = "log_float_value"


def names_of(features: Iterable[Feature]) -> tuple[str, ...]:
    """Their columns, in order."""
    return tuple(one.name for one in features)
