"""Which bytes do FRED and Tushare answer, given what they know and what time it is?

Written from the vendors' documents, and from nothing our clients assume. Invariant: nothing after *now* is in a reply.
Everything here is bytes and rows; sockets and misbehaving connections are in `simulator.py`. Partner: `truth.py`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from warehouse.sources import truth
from warehouse.sources.faults import Fault
from warehouse.sources.truth import Listing, MarketTruth

SHANGHAI = ZoneInfo("Asia/Shanghai")
# FRED's real-time periods are US Central days (api.stlouisfed.org/docs/fred/realtime_period.html).
FRED_ZONE = ZoneInfo("America/Chicago")
# When a session's rows appear, Shanghai time (docs 27, 28, 32, 214).
PUBLISHED_AT = {
    "daily": time(16, 0),
    "index_daily": time(16, 0),
    "daily_basic": time(16, 30),
    "adj_factor": time(9, 20),
    "suspend_d": time(9, 20),
}
# Rows an answer holds at most (docs 25 to 28, 32, 95, 214).
ROW_CAPS = {"suspend_d": 5000, "index_daily": 8000}
USUAL_ROW_CAP = 6000
STOCK_BASIC_FIELDS = (
    *("ts_code", "symbol", "name", "area", "industry", "cnspell", "market", "list_date", "act_name", "act_ent_type"),
)
# Sent only when asked for by name (doc 25).
STOCK_BASIC_HIDDEN = ("fullname", "exchange", "curr_type", "list_status", "delist_date", "is_hs")
BSE_MAPPING_FIELDS = ("name", "o_code", "n_code", "list_date")
TRADE_CAL_FIELDS = ("exchange", "cal_date", "is_open", "pretrade_date")
EXCHANGES = {"SSE": "SH", "SZSE": "SZ"}
# On this day all of Beijing's securities got codes that begin with 920.
BEIJING_CHANGE_DATE = date(2025, 10, 9)
# The holidays of a year are announced late in the one before; until then every weekday counts as open (issue 1239).
NOTICE_MONTH = 12

BAD_TOKEN = (40101, "您的token不对，请确认。")
NO_PERMISSION = (40203, "抱歉，您没有接口访问权限，权限的具体详情访问：https://tushare.pro/document/1?doc_id=108。")
RATE_LIMIT = (
    40203,
    "抱歉，您每分钟最多访问该接口50次，权限的具体详情访问：https://tushare.pro/document/1?doc_id=108。",
)
UNKNOWN_API = (-2001, "请指定正确的接口名。")
MISSING_PARAMETER = (-2001, "必填参数不能为空。")
BAD_PARAMETER = (-2001, "参数校验失败，请检查日期等参数的格式。")
HTML_PAGE = b"<html><head><title>Access Denied</title></head><body><h1>Access Denied</h1></body></html>\n"
GATEWAY_PAGE = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n"
    "<hr><center>nginx/1.17.7</center>\r\n</body>\r\n</html>\r\n"
)
FRED_NOT_FOUND = b"<!DOCTYPE html>\n<html><head><title>FRED 404</title></head><body>Page not found.</body></html>\n"


class Refused(Exception):
    """Tushare answers with a code instead of rows.

    Args:
        code: the vendor's code.
        words: the vendor's words.
    """

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


@dataclass(frozen=True)
class Question:
    """One request to Tushare: endpoint, parameters as text, fields asked for (none: the default ones)."""

    api_name: str
    params: Mapping[str, str]
    fields: tuple[str, ...]

    @property
    def partition(self) -> str | None:
        """What a fault's `partition` is compared with: the trade_date, else the ts_code."""
        return self.params.get("trade_date") or self.params.get("ts_code") or None


@dataclass(frozen=True)
class Rows:
    """One answer of Tushare: field names, rows in the same order, and whether there are more."""

    fields: tuple[str, ...]
    items: list[tuple[Any, ...]]
    has_more: bool = False


def question_from_json(body: bytes, api_name: str | None) -> tuple[Question, str]:
    """The question in a request's body, and its token.

    Args:
        body: JSON with api_name, token, params and fields; unknown params are ignored, as the vendor does.
        api_name: the endpoint in the path, which wins over the one in the body.

    Raises:
        Refused: no JSON object.
    """
    try:
        asked = msgspec.json.decode(body)
    except msgspec.DecodeError as exc:
        raise Refused(*BAD_PARAMETER) from exc
    if not isinstance(asked, dict):
        raise Refused(*BAD_PARAMETER)
    given = asked.get("params") or {}
    params = {str(name): str(value) for name, value in dict(given).items() if value not in (None, "")}
    fields = asked.get("fields") or ""
    names = fields if isinstance(fields, list) else str(fields).split(",")
    chosen = tuple(str(name).strip() for name in names if str(name).strip())
    return Question(api_name or str(asked.get("api_name", "")), params, chosen), str(asked.get("token") or "")


class TushareWire:
    """Tushare's answers; keeps only what it can compute again."""

    def __init__(self, market: MarketTruth) -> None:
        self._market = market
        self._calendars: dict[int, list[tuple[str, int, str | None]]] = {}

    def answer(self, question: Question, now: datetime) -> Rows:
        """The rows asked for, newest first, as far as they are published.

        Raises:
            Refused: unknown endpoint, or parameters that make no sense.
        """
        local = now.astimezone(SHANGHAI)
        if question.api_name == "trade_cal":
            fields: tuple[str, ...] = TRADE_CAL_FIELDS
            items: list[tuple[Any, ...]] = [*self._trade_cal(question.params, local.date())]
        elif question.api_name == "stock_basic":
            fields = STOCK_BASIC_FIELDS + STOCK_BASIC_HIDDEN
            items = _stock_basic(self._market.listings, question.params, local.date())
        elif question.api_name == "bse_mapping":
            fields = BSE_MAPPING_FIELDS
            items = self._bse_mapping(local.date())
        elif question.api_name in self._market.sheets and question.api_name in PUBLISHED_AT:
            return self._sheet_rows(question, local)
        else:
            raise Refused(*UNKNOWN_API)
        default = fields[: -len(STOCK_BASIC_HIDDEN)] if question.api_name == "stock_basic" else fields
        names = _known_fields(question.fields, fields, default)
        at = [fields.index(name) for name in names]
        start, stop = _page(question)
        page = [tuple(row[column] for column in at) for row in items[start:stop]] if names else []
        return Rows(names, page, has_more=len(items) > stop)

    def _sheet_rows(self, question: Question, local: datetime) -> Rows:
        sheet, params = self._market.sheets[question.api_name], question.params
        if question.api_name == "index_daily" and "ts_code" not in params:
            raise Refused(*MISSING_PARAMETER)
        newest = local.date()
        if local.time() < PUBLISHED_AT[question.api_name]:
            newest -= timedelta(days=1)
        first, last = _date_span(params)
        codes = tuple(code.strip() for code in params.get("ts_code", "").split(",") if code.strip())
        positions = sheet.positions(first, min(last, int(truth.compact(newest))), codes)
        start, stop = _page(question)
        names = _known_fields(question.fields, tuple(sheet.columns), tuple(sheet.columns))
        if isinstance(positions, slice):
            total = positions.stop - positions.start
            chosen: truth.Positions = slice(positions.start + min(start, total), positions.start + min(stop, total))
        else:
            total, chosen = len(positions), positions[start:stop]
        items = sheet.rows(chosen, names) if names else []
        wanted = params.get("suspend_type")
        if question.api_name == "suspend_d" and wanted and "suspend_type" in names:
            at = names.index("suspend_type")
            items = [row for row in items if row[at] == wanted]
        return Rows(names, items, has_more=total > stop)

    def _bse_mapping(self, today: date) -> list[tuple[Any, ...]]:
        listed = {each.ts_code: each.list_date for each in self._market.listings}
        if today < BEIJING_CHANGE_DATE:
            return []
        return [(name, old, new, truth.compact(listed[new])) for name, old, new in self._market.code_changes]

    def _trade_cal(self, params: Mapping[str, str], today: date) -> list[tuple[str, str, int, str | None]]:
        exchange = params.get("exchange", "SSE")
        if exchange not in EXCHANGES:
            return []
        first, last = _date_span({name: value for name, value in params.items() if name != "trade_date"})
        known_year = today.year + (today.month >= NOTICE_MONTH)
        days = self._calendars.setdefault(known_year, _calendar(self._market.calendar, known_year))
        # Anything but "1" gives the closed days, without a word (issue 1635).
        wanted = None if "is_open" not in params else int(params["is_open"] == "1")
        return [
            (exchange, day, is_open, before)
            for day, is_open, before in days
            if first <= int(day) <= last and wanted in (None, is_open)
        ]


def spoil_rows(rows: Rows, fault: Fault) -> Rows:
    """The rows as a misbehaving Tushare would send them; faults that concern no rows change nothing."""
    import numpy as np

    items = rows.items
    if fault.kind == "empty":
        return Rows(rows.fields, [])
    if fault.kind == "partial_market":
        n_kept = int(len(items) * fault.share)
        kept = np.sort(np.random.default_rng(fault.seed).permutation(len(items))[:n_kept])
        return Rows(rows.fields, [items[at] for at in kept.tolist()], rows.has_more)
    if fault.kind == "duplicate_rows":
        return Rows(rows.fields, items + items[: fault.cap], rows.has_more)
    if fault.kind == "reversed_rows":
        return Rows(rows.fields, items[::-1], rows.has_more)
    if fault.kind == "row_cap":
        return Rows(rows.fields, items[: fault.cap], rows.has_more or len(items) > fault.cap)
    if fault.kind == "null_column" and fault.column in rows.fields:
        at = rows.fields.index(fault.column)
        return Rows(rows.fields, [(*row[:at], None, *row[at + 1 :]) for row in items], rows.has_more)
    if fault.kind == "late_correction" and fault.column in rows.fields:
        return dataclasses.replace(rows, items=_corrected(rows, fault))
    return rows


def encode_rows(question: Question, rows: Rows) -> bytes:
    """Tushare's envelope around rows; NaN becomes null."""
    data = {"fields": rows.fields, "items": rows.items, "has_more": rows.has_more, "count": -1}
    return msgspec.json.encode({"request_id": _request_id(question), "code": 0, "data": data, "msg": ""})


def encode_refusal(question: Question | None, refused: Refused) -> bytes:
    """Tushare's envelope around a refusal, sent with HTTP status 200."""
    answer = {"request_id": _request_id(question), "code": refused.code, "data": None, "msg": refused.words}
    return msgspec.json.encode(answer)


def spoil_csv(body: bytes, fault: Fault) -> bytes:
    """FRED's CSV as a misbehaving FRED would send it; faults that concern no lines change nothing."""
    head, *lines = body.decode().splitlines(keepends=True)
    if fault.kind == "empty":
        lines = []
    elif fault.kind == "partial_market":
        lines = lines[: int(len(lines) * fault.share)]
    elif fault.kind == "row_cap":
        lines = lines[: fault.cap]
    elif fault.kind == "duplicate_rows":
        lines = [line for at, line in enumerate(lines) for _ in range(2 if at < fault.cap else 1)]
    elif fault.kind == "null_column":
        lines = [f"{line[:10]},\n" for line in lines]
    elif fault.kind == "late_correction":
        newest = next((at for at in range(len(lines) - 1, -1, -1) if lines[at][11:].strip()), None)
        if newest is not None:
            value = float(lines[newest][11:]) * fault.factor
            lines[newest] = f"{lines[newest][:10]},{round(value, 4)}\n"
    elif fault.kind == "old_csv":
        # FRED until December 2024: header DATE, a full stop for missing.
        head = head.replace("observation_date", "DATE")
        lines = [line.replace(",\n", ",.\n") for line in lines]
    return "".join([head, *lines]).encode()


def _corrected(rows: Rows, fault: Fault) -> list[tuple[Any, ...]]:
    at = rows.fields.index(fault.column)
    code_at = rows.fields.index("ts_code") if "ts_code" in rows.fields else None
    corrected = []
    for row in rows.items:
        concerns = not fault.ts_codes or (code_at is not None and row[code_at] in fault.ts_codes)
        if concerns and isinstance(row[at], int | float):
            row = (*row[:at], round(row[at] * fault.factor, 6), *row[at + 1 :])
        corrected.append(row)
    return corrected


def _request_id(question: Question | None) -> str:
    # The vendor's is random; ours repeats, so that the same question gives the same bytes.
    asked = "" if question is None else f"{question.api_name} {sorted(question.params.items())} {question.fields}"
    return hashlib.sha256(asked.encode()).hexdigest()[:32]


def _known_fields(asked: Sequence[str], known: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in asked if name in known) if asked else tuple(default)


def _page(question: Question) -> tuple[int, int]:
    cap = ROW_CAPS.get(question.api_name, USUAL_ROW_CAP)
    start = max(_number(question.params, "offset", 0), 0)
    return start, start + min(max(_number(question.params, "limit", cap), 0), cap)


def _number(params: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(params.get(name, default))
    except ValueError as exc:
        raise Refused(*BAD_PARAMETER) from exc


def _date_span(params: Mapping[str, str]) -> tuple[int, int]:
    """First and last day asked for, as integers YYYYMMDD."""
    for name in ("trade_date", "start_date", "end_date"):
        text = params.get(name)
        if text is not None and not (len(text) == 8 and text.isascii() and text.isdigit()):
            raise Refused(*BAD_PARAMETER)
    if "trade_date" in params:
        return int(params["trade_date"]), int(params["trade_date"])
    return _number(params, "start_date", 0), _number(params, "end_date", 99991231)


def _calendar(calendar: Mapping[date, bool], known_year: int) -> list[tuple[str, int, str | None]]:
    """Day, whether open, and the session before, newest first."""
    rows: list[tuple[str, int, str | None]] = []
    before: str | None = None
    for day, is_open in calendar.items():
        said_open = is_open if day.year <= known_year else day.weekday() < 5
        rows.append((truth.compact(day), int(said_open), before))
        if said_open:
            before = truth.compact(day)
    return rows[::-1]


def _stock_basic(listings: Sequence[Listing], params: Mapping[str, str], today: date) -> list[tuple[Any, ...]]:
    statuses = params.get("list_status", "L").split(",")
    codes = params.get("ts_code", "").split(",") if "ts_code" in params else None
    rows = []
    for each in listings:
        symbol, _, suffix = each.ts_code.partition(".")
        is_gone = each.delist_date is not None and each.delist_date <= today
        exchange = next((name for name, ending in EXCHANGES.items() if ending == suffix), "BSE")
        fits = ("D" if is_gone else "L") in statuses and each.list_date <= today
        fits &= params.get("exchange", exchange) == exchange and params.get("market", each.market) == each.market
        if not fits or (codes is not None and each.ts_code not in codes):
            continue
        shown = (each.ts_code, symbol, each.name, each.area, each.industry, each.cnspell, each.market)
        owners = (truth.compact(each.list_date), each.act_name, each.act_ent_type)
        gone = truth.compact(each.delist_date) if is_gone and each.delist_date is not None else None
        hidden = (f"{each.name}股份有限公司", exchange, "CNY", "D" if is_gone else "L", gone, "N")
        rows.append((*shown, *owners, *hidden))
    return rows
