"""Tushare's endpoints: every row of what was asked, in the contract's types, or an error that says why not.

tushare's own client takes a gateway's error page for "no data today", drops `has_more`, pads short rows, and loses the
code of a refusal. So `DataApi.query` is replaced here, and the answer judged before it becomes a frame. Partners:
`http.py`, `warehouse/tables/market.py`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import requests
from tushare.pro.client import DataApi

from warehouse import errors
from warehouse.contracts import ARROW_TYPES, Table
from warehouse.sources import http
from warehouse.tables import market

# Rows one answer can hold at most (docs 25, 27, 28, 32, 95, 214); an answer of that length may be cut.
ROW_CAPS = {
    "daily": 6000,
    "adj_factor": 6000,
    "daily_basic": 6000,
    "stock_basic": 6000,
    "suspend_d": 5000,
    "index_daily": 8000,
    "trade_cal": 6000,
}
LIST_STATUSES = ("L", "D", "P")
CALENDAR_YEARS_A_CALL = 10
# Text decides, because code 40203 stands for rate limits and for missing permission alike; rate first.
RATE_WORDS = re.compile(r"每(分钟|小时|天)|频率超限|(?:次/)(分钟|小时|天)")
WAIT_S = {"分钟": 60.0, "小时": 3600.0, "天": 86400.0}
TOKEN_WORDS = re.compile(r"token")
PERMISSION_WORDS = re.compile(r"权限|积分|IP数量超限")
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
        return self._daybook_transport.call(request, asked, lambda reply: read_frame(reply, fields.split(",")))


class TushareSource:
    """Tushare's whole-market tables.

    Args:
        token: the account's; appears in no message, log or file.
        base_url: requests go to `{base_url}/{endpoint}`.
        now: the instant, UTC.
        keep: is handed every answer.
        policy: how patient to be, and the account's limit.
    """

    def __init__(
        self,
        token: str,
        *,
        base_url: str = "http://api.waditu.com/dataapi",
        now: Callable[[], datetime],
        keep: http.Keep,
        policy: http.Policy | None = None,
    ) -> None:
        if not token.strip():
            raise errors.BadCredentials("the Tushare token is empty. Set TUSHARE_TOKEN to the account's token.")
        chosen = policy or http.Policy(calls=200, per_s=60.0)
        # JSON would escape a line end, and an echoed token would no longer look like the secret.
        token = token.strip()
        transport = http.Transport("tushare", policy=chosen, now=now, keep=keep, secret=token)
        self._api = _Api(token, base_url, transport)

    def __repr__(self) -> str:
        return "TushareSource(token=***)"

    def fetch_trade_cal(self, start: date, end: date) -> pa.Table:
        """The exchange's calendar from `start` to `end`, as rows of market.trade_cal.

        Raises:
            VendorError: no usable answer came.
        """
        parts = []
        first = start
        while first <= end:
            last = min(date(first.year + CALENDAR_YEARS_A_CALL - 1, 12, 31), end)
            asked = {"exchange": "SSE", "start_date": _compact(first), "end_date": _compact(last)}
            parts.append(self._fetch(market.TRADE_CAL, asked))
            first = date(last.year + 1, 1, 1)
        return pa.concat_tables(parts)

    def fetch_stock_basic(self) -> pa.Table:
        """Every security ever listed, as rows of market.stock_basic; the vendor's default leaves delisted ones out.

        Raises:
            VendorError: no usable answer came.
        """
        parts = [self._fetch(market.STOCK_BASIC, {"list_status": status}) for status in LIST_STATUSES]
        if not parts[0].num_rows:
            raise errors.IncompleteReply(
                "tushare stock_basic(list_status=L): no security is listed. Nothing was stored; run again later."
            )
        return pa.concat_tables(parts)

    def fetch_daily(self, trade_date: date) -> pa.Table:
        """All bars of a session, as rows of market.daily.

        Raises:
            VendorError: no usable answer came.
        """
        return self._fetch_session(market.DAILY, trade_date)

    def fetch_adj_factor(self, trade_date: date) -> pa.Table:
        """All adjustment factors of a session, as rows of market.adj_factor.

        Raises:
            VendorError: no usable answer came.
        """
        return self._fetch_session(market.ADJ_FACTOR, trade_date)

    def fetch_daily_basic(self, trade_date: date) -> pa.Table:
        """Turnover and valuation of a session, as rows of market.daily_basic.

        Raises:
            VendorError: no usable answer came.
        """
        return self._fetch_session(market.DAILY_BASIC, trade_date)

    def fetch_suspend_d(self, trade_date: date) -> pa.Table:
        """Suspensions and resumptions of a session, as rows of market.suspend_d; none is an answer.

        Raises:
            VendorError: no usable answer came.
        """
        return self._fetch_session(market.SUSPEND_D, trade_date)

    def fetch_index_daily(self, ts_code: str, start: date, end: date) -> pa.Table:
        """An index's rows from `start` to `end`, as rows of market.index_daily.

        Raises:
            VendorError: no usable answer came.
        """
        if not TS_CODE.fullmatch(ts_code):
            raise errors.UnexpectedReply(
                f"{ts_code!r} is not a Tushare code: write it with its exchange, as 000300.SH. Mend the setting."
            )
        asked = {"ts_code": ts_code, "start_date": _compact(start), "end_date": _compact(end)}
        rows = self._fetch(market.INDEX_DAILY, asked)
        _refuse_others(rows, "ts_code", ts_code, f"tushare index_daily(ts_code={ts_code})")
        return rows

    def _fetch_session(self, table: Table, trade_date: date) -> pa.Table:
        rows = self._fetch(table, {"trade_date": _compact(trade_date)})
        _refuse_others(rows, "trade_date", trade_date, f"tushare {table.name}(trade_date={_compact(trade_date)})")
        return rows

    def _fetch(self, table: Table, asked: Mapping[str, str]) -> pa.Table:
        names = [column.name for column in table.columns if not column.provenance]
        frame = self._api.query(table.name, fields=",".join(names), **asked)
        described = f"tushare {table.name}({', '.join(f'{name}={value}' for name, value in asked.items())})"
        return table_from_frame(frame, table, described)


def read_frame(reply: http.Reply, fields: Sequence[str]) -> pd.DataFrame:
    """The rows in an answer of Tushare, one column a field, values as they came.

    Args:
        reply: an answer with HTTP status 200.
        fields: columns asked for.

    Raises:
        RateLimited: the account's limit is reached.
        BadCredentials, NotPermitted: the account may not ask.
        IncompleteReply: cut, or there is more than one answer holds.
        VendorUnavailable: no JSON.
        UnexpectedReply: JSON, but not what was asked for.
    """
    answer = _read_json(reply)
    _refuse_code(reply, answer)
    data = answer.get("data")
    data = data if isinstance(data, dict) else {}
    columns, items = data.get("fields"), data.get("items")
    items = [] if items is None else items
    if not isinstance(columns, list) or not isinstance(items, list) or len(set(map(str, columns))) != len(columns):
        raise _unexpected(reply, "the answer holds no table")
    missing = [name for name in fields if name not in columns]
    if missing:
        raise _unexpected(reply, f"the answer lacks the columns {', '.join(missing)}")
    if any(not isinstance(row, list) or len(row) != len(columns) for row in items):
        raise _unexpected(reply, f"a row does not have {len(columns)} values")
    cap = ROW_CAPS.get(reply.endpoint)
    if data.get("has_more") or (cap and len(items) >= cap):
        raise errors.IncompleteReply(
            f"{reply.described}: {len(items)} rows came and there are more than one answer holds. Nothing was stored: "
            "a truncated day must not pass for a whole one. Ask the vendor for a higher cap."
        )
    # By position: what else the vendor names may be no name at all.
    at = [columns.index(name) for name in fields]
    return pd.DataFrame([[row[i] for i in at] for row in items], columns=pd.Index(fields), dtype=object)


def _read_json(reply: http.Reply) -> dict[str, Any]:
    text = reply.body.decode("utf-8", "replace")
    try:
        answer = json.loads(reply.body.decode())
    except (ValueError, RecursionError):
        start = repr(text[:60])
        if text.lstrip().startswith("{"):
            raise errors.IncompleteReply(
                f"{reply.described}: the JSON is cut or broken after {len(text)} characters. Nothing was stored; run "
                "again later."
            ) from None
        raise errors.VendorUnavailable(
            f"{reply.described}: the answer is no JSON ({start}). Nothing was stored; run again later."
        ) from None
    if not isinstance(answer, dict) or "code" not in answer:
        raise _unexpected(reply, "the JSON has no code")
    return answer


def _refuse_code(reply: http.Reply, answer: Mapping[str, Any]) -> None:
    code = answer["code"]
    if code in (0, "0") and code is not False:
        return
    words = str(answer.get("msg") or answer.get("message") or "")[:200]
    said = f"{reply.described}: refused with code {ascii(code)[:20]}: {words!r}."
    rate = RATE_WORDS.search(words)
    if rate:
        unit = rate.group(1) or rate.group(2) or "分钟"
        asked_to_wait = http.retry_after(reply)
        raise errors.RateLimited(
            f"{said} The account's limit is reached; lower DAYBOOK__TUSHARE_CALLS_PER_MINUTE, or run again later.",
            WAIT_S[unit] if asked_to_wait is None else asked_to_wait,
        )
    if TOKEN_WORDS.search(words) or code in (40101, "40101"):
        raise errors.BadCredentials(f"{said} Check TUSHARE_TOKEN against the account's page.")
    if PERMISSION_WORDS.search(words) or code in (-2002, 2002, 40203):
        raise errors.NotPermitted(f"{said} The account lacks the points for this endpoint, or too many hosts use it.")
    raise errors.UnexpectedReply(f"{said} Nothing was stored; the answer is in the archive as {reply.reply_id}.")


def table_from_frame(frame: pd.DataFrame, table: Table, described: str) -> pa.Table:
    """The frame in the contract's types.

    Args:
        frame: values as the vendor sent them.
        table: the contract.
        described: what was asked, for messages.

    Raises:
        UnexpectedReply: a value cannot be read as its column's type.
    """
    arrays = {}
    for column in table.columns:
        if column.provenance:
            continue
        values = frame[column.name].tolist()
        try:
            arrays[column.name] = pa.array([_typed(value, column.type) for value in values], ARROW_TYPES[column.type])
        except (ValueError, TypeError, OverflowError, pa.ArrowInvalid) as exc:
            raise errors.UnexpectedReply(
                f"{described}: a value of {column.name} cannot be read as {column.type} ({str(exc)[:80]}). Nothing was "
                "stored; look at the archived answer."
            ) from None
    return pa.table(arrays)


def _typed(value: Any, kind: str) -> Any:
    if value is None or value == "":
        return None
    if kind == "DATE":
        text = str(value)
        if len(text) != 8 or not text.isascii() or not text.isdigit():
            raise ValueError(f"{text[:20]!r} is not YYYYMMDD")
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    if kind == "BOOLEAN":
        if str(value) not in ("0", "1"):
            raise ValueError(f"{str(value)[:20]!r} is neither 0 nor 1")
        return str(value) == "1"
    if kind == "DOUBLE":
        if isinstance(value, bool | list | dict):
            raise ValueError(f"{str(value)[:20]!r} is not a number")
        number = float(value)
        if math.isinf(number):
            raise ValueError(f"{str(value)[:20]!r} is not finite")
        return None if math.isnan(number) else number
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:20]!r} is not text")
    return value


def _refuse_others(rows: pa.Table, column: str, asked: object, described: str) -> None:
    others = sorted({str(value) for value in rows[column].to_pylist() if value != asked})
    if others:
        raise errors.UnexpectedReply(
            f"{described}: the answer holds {column} {', '.join(others[:3])}. Nothing was stored; look at the archived "
            "answer."
        )


def _unexpected(reply: http.Reply, what: str) -> errors.UnexpectedReply:
    return errors.UnexpectedReply(
        f"{reply.described}: {what}. Nothing was stored; the answer is in the archive as {reply.reply_id}."
    )


def _compact(day: date) -> str:
    return f"{day:%Y%m%d}"
