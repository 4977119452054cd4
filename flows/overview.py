"""What is known to what date, what is missing, how runs ended, what is wrong: the tables behind `daybook status`."""

from __future__ import annotations

import pyarrow as pa

from warehouse import errors
from warehouse.lake import Lake
from warehouse.tables import ops

Tables = dict[str, pa.Table]


def read_overview(lake: Lake) -> Tables:
    """Freshness, gaps, last runs and open alerts, each under its title.

    Raises:
        LakeError: the lake cannot be read.
    """
    gaps = lake.read(
        "select dataset, partition, state, n_expected, n_received, reason from analyst.coverage"
        " where state not in ('ok', 'empty_confirmed') order by dataset, partition limit 20"
    )
    runs = lake.read(
        "select run_id, state, message, strftime(finished_at, '%Y-%m-%d %H:%M') as finished_at_utc from analyst.run"
        " order by as_of_date desc, run_id limit 8"
    )
    return {
        "known to": lake.read("select * from analyst.freshness order by dataset"),
        "gaps": gaps,
        "last runs": runs,
        "open alerts": read_open_alerts(lake),
    }


def read_summary(lake: Lake) -> Tables:
    """Rows, coverage and open alerts: what a demo shows at its end.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        """
        select 'bars' as what, count(*) as n_rows, count(distinct ts_code) as n_names,
            min(trade_date) as first_date, max(trade_date) as last_date from market.daily
        union all
        select 'macro values', count(*), count(distinct series_id), min(observation_date), max(observation_date)
            from macro.observation
        union all
        select 'forecasts', count(*), count(distinct ts_code), min(forecast_date), max(forecast_date)
            from model.forecast
        """
    )
    coverage = lake.read(
        "select dataset, count(*) as n_partitions,"
        " count(*) filter (where state in ('ok', 'empty_confirmed')) as n_whole,"
        " round(avg(coverage_fraction), 4) as coverage_fraction from analyst.coverage group by dataset order by dataset"
    )
    return {"rows": rows, "coverage": coverage, "open alerts": read_open_alerts(lake)}


def read_open_alerts(lake: Lake) -> pa.Table:
    """Open alerts, gravest first, as a person reads them.

    Raises:
        LakeError: the lake cannot be read.
    """
    return lake.read(
        "select fingerprint, severity, state, title, n_seen, first_seen_date from analyst.alert"
        f" where state <> 'resolved' order by {ops.GRAVEST_FIRST}, subject_date desc, title limit 20"
    )


def read_code(lake: Lake, code: str) -> Tables:
    """What is known about one security or series.

    Raises:
        ConfigError: the lake knows no such code.
    """
    stock = lake.read(
        "select * exclude (retrieved_at, load_id) from market.stock_basic where ts_code = $code", code=code
    )
    if stock.num_rows:
        return {
            code: _facts(stock),
            "last sessions": lake.read(
                "select p.trade_date, p.close_cny, p.close_adjusted_cny, r.simple_return_1d, p.volume_shares,"
                " p.turnover_fraction from analyst.price_adjusted as p left join analyst.daily_return as r"
                " using (ts_code, trade_date) where p.ts_code = $code order by p.trade_date desc limit 10",
                code=code,
            ),
            "forecasts": lake.read(
                "select model_name, forecast_date, forward_return_5d, lower, upper, realised_return_5d"
                " from analyst.forecast where ts_code = $code order by forecast_date desc, model_name limit 6",
                code=code,
            ),
        }
    series = lake.read("select * from macro.series where series_id = $code", code=code)
    if series.num_rows:
        return {
            code: _facts(series),
            "last values": lake.read(
                "select observation_date, value, realtime_start, realtime_end, is_realtime_estimated"
                " from analyst.macro_vintage where series_id = $code"
                " order by observation_date desc, realtime_start desc limit 12",
                code=code,
            ),
        }
    near = lake.read(
        "select code from (select ts_code as code from market.stock_basic union all select series_id from macro.series)"
        " order by jaro_winkler_similarity(code, $code) desc, code limit 3",
        code=code,
    )
    hint = f" Nearest: {', '.join(near['code'].to_pylist())}." if near.num_rows else ""
    raise errors.ConfigError(
        f"the lake knows no security or series {code!r}.{hint} Write securities as 600000.SH and series as UNRATE."
    )


def _facts(row: pa.Table) -> pa.Table:
    """One wide row as a line a column, which a terminal can hold."""
    values = row.to_pylist()[0]
    known = {name: str(value) for name, value in values.items() if value is not None}
    return pa.table({"what": list(known), "value": list(known.values())})
