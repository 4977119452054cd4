"""Tushare's endpoints: every row of what was asked, in the contract's types, or an error that says why not.

tushare's own client takes a gateway's error page for "no data today", drops `has_more`, pads short rows, and loses the
code of a refusal. So `DataApi.query` is replaced here. What does not fit into one answer is asked for in parts.
Partners: `tushare_reply.py`, which judges an answer; `http.py`, `warehouse/tables/market.py`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import requests
from tushare.pro.client import DataApi

from warehouse import errors
from warehouse.contracts import Table
from warehouse.sources import http, limits, tushare_reply
from warehouse.tables import market

LIST_STATUSES = ("L", "D", "P")
EXCHANGES = ("SSE", "SZSE", "BSE")
# A request by codes carries a list of them; 1,000 make a body of 10 KB and stay far below any row cap.
CODES_A_CALL = 1000
CALENDAR_YEARS_A_CALL = 10
TS_CODE = re.compile(r"[0-9A-Z]{6,9}\.[A-Z]{2,3}")


class _Api(DataApi):  # type: ignore[misc]
    """tushare's client over our transport; the token stays out of its attributes' reach in messages."""

    def __init__(self, token: str, base_url: str, transport: http.Transport) -> None:
        super().__init__(token)
        self._daybook_token = token
        self._daybook_url = base_url.rstrip("/")
        self._daybook_transport = transport

    def __repr__(self) -> str:
        return "DataApi(token=***)"

    def __getattr__(self, name: str) -> Any:
        # tushare takes every unknown attribute for an endpoint, so copy.deepcopy would post the token.
        raise AttributeError(name)

    def query(self, api_name: str, fields: str = "", **params: str) -> pd.DataFrame:
        """A frame of exactly `fields`, as text and numbers came.

        Raises:
            VendorError: no usable answer came.
        """
        body = {"api_name": api_name, "token": self._daybook_token, "params": params, "fields": fields}
        request = requests.Request("POST", f"{self._daybook_url}/{api_name}", json=body)
        asked = {"endpoint": api_name, **params}
        return self._daybook_transport.call(
            request, asked, lambda reply: tushare_reply.read_frame(reply, fields.split(","))
        )


class TushareSource:
    """Tushare's whole-market tables.

    Args:
        token: the account's; appears in no message, log or file.
        base_url: requests go to `{base_url}/{endpoint}`.
        now: the instant, UTC.
        keep: is handed every answer.
        policy: how patient to be, and the account's limit.
        shared_limits: where calls are counted and learned limits kept, for all runs of the account; None for nowhere.
    """

    def __init__(
        self,
        token: str,
        *,
        base_url: str = "http://api.waditu.com/dataapi",
        now: Callable[[], datetime],
        keep: http.Keep,
        policy: http.Policy | None = None,
        shared_limits: limits.Shared | None = None,
    ) -> None:
        if not token.strip():
            raise errors.BadCredentials("the Tushare token is empty. Set TUSHARE_TOKEN to the account's token.")
        chosen = policy or http.Policy(calls=200, per_s=60.0)
        # JSON would escape a line end, and an echoed token would no longer look like the secret.
        token = token.strip()
        transport = http.Transport(
            "tushare", policy=chosen, now=now, keep=keep, secret=token, shared_limits=shared_limits
        )
        self._api = _Api(token, base_url, transport)

    def __repr__(self) -> str:
        return "TushareSource(token=***)"

    def fetch_trade_cal(self, start: date, end: date) -> pa.Table:
        """The exchange's calendar from `start` to `end`, as rows of market.trade_cal.

        Raises:
            VendorError: no usable answer came, or days are missing in it.
        """
        parts = []
        first = start
        while first <= end:
            last = min(date(first.year + CALENDAR_YEARS_A_CALL - 1, 12, 31), end)
            asked = {"exchange": "SSE", "start_date": _compact(first), "end_date": _compact(last)}
            parts.append(self._fetch(market.TRADE_CAL, asked))
            first = date(last.year + 1, 1, 1)
        rows = pa.concat_tables(parts)
        described = f"tushare trade_cal(exchange=SSE, start_date={_compact(start)}, end_date={_compact(end)})"
        _refuse_others(rows, "exchange", "SSE", described)
        _refuse_broken_calendar(rows, end, described)
        return rows

    def fetch_stock_basic(self) -> pa.Table:
        """Every security ever listed, as rows of market.stock_basic; the vendor's default leaves delisted ones out.

        Raises:
            VendorError: no usable answer came.
        """
        parts = [self._fetch_listed(status) for status in LIST_STATUSES]
        if not parts[0].num_rows:
            raise errors.IncompleteReply(
                "tushare stock_basic(list_status=L): no security is listed. Nothing was stored; run again later."
            )
        return pa.concat_tables(parts)

    def _fetch_listed(self, status: str) -> pa.Table:
        try:
            return self._fetch(market.STOCK_BASIC, {"list_status": status})
        except errors.RowCapReached:
            return pa.concat_tables(
                self._fetch(market.STOCK_BASIC, {"list_status": status, "exchange": exchange}) for exchange in EXCHANGES
            )

    def fetch_bse_mapping(self) -> pa.Table:
        """Beijing's old and new codes: o_code, n_code, both as ts_code.

        Raises:
            VendorError: no usable answer came.

        Source:
            Tushare bse_mapping (doc 375).
        """
        frame = self._api.query("bse_mapping", fields="o_code,n_code")
        codes = {name: [str(value) for value in frame[name].tolist()] for name in ("o_code", "n_code")}
        strange = [code for values in codes.values() for code in values if not TS_CODE.fullmatch(code)]
        if strange:
            raise errors.UnexpectedReply(
                f"tushare bse_mapping(): {strange[0][:20]!r} is no security code. Nothing was stored; look at the "
                "archived answer."
            )
        return pa.table({name: pa.array(values, pa.string()) for name, values in codes.items()})

    def fetch_daily(self, trade_date: date, codes: Sequence[str] = ()) -> pa.Table:
        """All bars of a session, as rows of market.daily.

        Args:
            trade_date: the session.
            codes: securities to ask for one list after the other when the market does not fit into one answer.

        Raises:
            RowCapReached: the market does not fit, and no codes were given.
            VendorError: no usable answer came.
        """
        return self._fetch_session(market.DAILY, trade_date, codes)

    def fetch_adj_factor(self, trade_date: date, codes: Sequence[str] = ()) -> pa.Table:
        """All adjustment factors of a session, as rows of market.adj_factor; arguments as `fetch_daily`.

        Raises:
            VendorError: no usable answer came.
        """
        return self._fetch_session(market.ADJ_FACTOR, trade_date, codes)

    def fetch_daily_basic(self, trade_date: date, codes: Sequence[str] = ()) -> pa.Table:
        """Turnover and valuation of a session, as rows of market.daily_basic; arguments as `fetch_daily`.

        Raises:
            VendorError: no usable answer came.
        """
        return self._fetch_session(market.DAILY_BASIC, trade_date, codes)

    def fetch_suspend_d(self, trade_date: date, codes: Sequence[str] = ()) -> pa.Table:
        """Suspensions and resumptions of a session, as rows of market.suspend_d; none is an answer.

        Raises:
            VendorError: no usable answer came.
        """
        return self._fetch_session(market.SUSPEND_D, trade_date, codes)

    def fetch_adj_factor_history(self, ts_code: str, start: date, end: date) -> pa.Table:
        """One security's adjustment factors from `start` to `end`, as rows of market.adj_factor.

        Raises:
            VendorError: no usable answer came.
        """
        return self._fetch_span(market.ADJ_FACTOR, ts_code, start, end)

    def fetch_index_daily(self, ts_code: str, start: date, end: date) -> pa.Table:
        """An index's rows from `start` to `end`, as rows of market.index_daily.

        Raises:
            VendorError: no usable answer came.
        """
        return self._fetch_span(market.INDEX_DAILY, ts_code, start, end)

    def _fetch_session(self, table: Table, trade_date: date, codes: Sequence[str]) -> pa.Table:
        asked = {"trade_date": _compact(trade_date)}
        try:
            rows = self._fetch(table, asked)
        except errors.RowCapReached as exc:
            if not codes:
                raise
            rows = self._fetch_by_codes(table, asked, sorted({*codes, *exc.ts_codes}))
        _refuse_others(rows, "trade_date", trade_date, f"tushare {table.name}(trade_date={_compact(trade_date)})")
        return rows

    def _fetch_by_codes(self, table: Table, asked: Mapping[str, str], codes: Sequence[str]) -> pa.Table:
        """The rows of some securities, asked for in lists short enough that no answer is cut.

        Pages would not do: the vendor says that they are not supported, and sends duplicates (waditu/tushare#1582).
        """
        waiting = [codes[first : first + CODES_A_CALL] for first in range(0, len(codes), CODES_A_CALL)]
        parts = []
        while waiting:
            part = waiting.pop(0)
            try:
                rows = self._fetch(table, {**asked, "ts_code": ",".join(part)})
            except errors.RowCapReached:
                if len(part) == 1:
                    raise
                middle = len(part) // 2
                waiting[:0] = [part[:middle], part[middle:]]
                continue
            strangers = sorted(set(rows["ts_code"].to_pylist()) - set(part))
            if strangers:
                raise errors.UnexpectedReply(
                    f"tushare {table.name}({', '.join(asked.values())}, {len(part)} codes): the answer holds "
                    f"{', '.join(strangers[:3])}, which was not asked for. Nothing was stored; look at the archive."
                )
            parts.append(rows)
        return pa.concat_tables(parts)

    def _fetch_span(self, table: Table, ts_code: str, start: date, end: date) -> pa.Table:
        """One code's rows over some days; halved when they do not fit into one answer."""
        if not TS_CODE.fullmatch(ts_code):
            raise errors.UnexpectedReply(
                f"{ts_code!r} is not a Tushare code: write it with its exchange, as 000300.SH. Mend the setting."
            )
        asked = {"ts_code": ts_code, "start_date": _compact(start), "end_date": _compact(end)}
        try:
            rows = self._fetch(table, asked)
        except errors.RowCapReached:
            if start >= end:
                raise
            middle = start + (end - start) // 2
            return pa.concat_tables(
                [
                    self._fetch_span(table, ts_code, start, middle),
                    self._fetch_span(table, ts_code, middle + timedelta(days=1), end),
                ]
            )
        described = f"tushare {table.name}(ts_code={ts_code})"
        _refuse_others(rows, "ts_code", ts_code, described)
        _refuse_outside(rows, start, end, described)
        return rows

    def _fetch(self, table: Table, asked: Mapping[str, str]) -> pa.Table:
        names = [column.name for column in table.columns if not column.provenance]
        frame = self._api.query(table.name, fields=",".join(names), **asked)
        described = f"tushare {table.name}({', '.join(f'{name}={value}' for name, value in asked.items())})"
        return tushare_reply.table_from_frame(frame, table, described)


def _refuse_others(rows: pa.Table, column: str, asked: object, described: str) -> None:
    others = sorted({str(value) for value in rows[column].to_pylist() if value != asked})
    if others:
        raise errors.UnexpectedReply(
            f"{described}: the answer holds {column} {', '.join(others[:3])}. Nothing was stored; look at the archived "
            "answer."
        )


def _refuse_outside(rows: pa.Table, start: date, end: date, described: str) -> None:
    strange = [day for day in rows["trade_date"].to_pylist() if day is not None and not start <= day <= end]
    if strange:
        raise errors.UnexpectedReply(
            f"{described}: the answer holds {max(strange)}, asked was {start} to {end}. Nothing was stored; look at "
            "the archived answer."
        )


def _refuse_broken_calendar(rows: pa.Table, end: date, described: str) -> None:
    """A session that the calendar lacks is never asked for, and nobody would miss it.

    It may end with a year, because the next one is not announced yet; anywhere else its end is a cut answer.
    """
    said = set(zip(rows["cal_date"].to_pylist(), rows["is_open"].to_pylist(), strict=True))
    days = sorted({day for day, _ in said})
    holes = [before for before, after in itertools.pairwise(days) if after - before != timedelta(days=1)]
    what = ""
    if holes:
        what = f"days are missing after {holes[0]}"
    elif days and days[-1] < end and (days[-1].month, days[-1].day) != (12, 31):
        what = f"it ends on {days[-1]}"
    elif len(said) > len(days) or any(is_open is None for _, is_open in said):
        what = "a day is both open and closed, or neither"
    if what:
        raise errors.IncompleteReply(f"{described}: {what}. Nothing was stored; run again later.")


def _compact(day: date) -> str:
    return f"{day:%Y%m%d}"
