"""Is this answer of Tushare what was asked for? Judged by its text and shape before it becomes a table.

Invariant: any bytes give a table in the contract's types, or a `VendorError` that says why not. Partner: `tushare.py`,
which asks.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from warehouse import errors
from warehouse.contracts import ARROW_TYPES, Table
from warehouse.sources import http

# Rows one answer can hold at most (docs 25, 27, 28, 32, 95, 214); an answer of that length may be cut.
ROW_CAPS = {
    "daily": 6000,
    "adj_factor": 6000,
    "daily_basic": 6000,
    "stock_basic": 6000,
    "suspend_d": 5000,
    "index_daily": 8000,
    "trade_cal": 6000,
    "bse_mapping": 1000,
}
# Text decides, because code 40203 stands for rate limits and for missing permission alike; rate first.
RATE_WORDS = re.compile(r"每(分钟|小时|天)|频率超限|(?:次/)(分钟|小时|天)")
WAIT_S = {"分钟": 60.0, "小时": 3600.0, "天": 86400.0}
# "每分钟最多访问该接口50次" and "频率超限(300次/分钟)": how many calls in which span (section 2.6 of doc 290's copies).
ALLOWED_WORDS = re.compile(
    r"每(?P<unit>分钟|小时|天)最多访问该接口(?P<calls>\d+)次|(?P<calls2>\d+)次/(?P<unit2>分钟|小时|天)"
)
TOKEN_WORDS = re.compile(r"token")
# What Python's float() reads besides, such as 1_000 or digits of other scripts, no vendor means as a number.
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*|nan|NaN|[+-]?inf", re.ASCII)
PERMISSION_WORDS = re.compile(r"权限|积分|IP数量超限")


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
    if set(map(type, items)) - {list} or set(map(len, items)) - {len(columns)}:
        raise _unexpected(reply, f"a row does not have {len(columns)} values")
    cap = ROW_CAPS.get(reply.endpoint)
    if data.get("has_more") or (cap and len(items) >= cap):
        code_at = columns.index("ts_code") if "ts_code" in columns else None
        raise errors.RowCapReached(
            f"{reply.described}: {len(items)} rows came and there are more than one answer holds. Nothing was stored: "
            "a cut answer must not pass for a whole one. It is asked for in smaller parts where that can be done.",
            () if code_at is None else tuple(str(row[code_at]) for row in items),
        )
    # By position: what else the vendor names may be no name at all.
    by_column = list(zip(*items, strict=True)) or [()] * len(columns)
    return pd.DataFrame({name: _objects(by_column[columns.index(name)]) for name in fields}, dtype=object)


def _objects(values: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.object_]]:
    """Values as they came: pandas would look into lists and guess a type for the rest."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _read_json(reply: http.Reply) -> dict[str, Any]:
    try:
        answer = _decode(reply.body)
    except (ValueError, RecursionError):
        text = reply.body.decode("utf-8", "replace")
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


def _decode(body: bytes) -> Any:
    """The JSON in a body. The standard library is asked about what msgspec refuses: NaN, which Tushare may send."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return json.loads(body.decode())


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
            f"{said} The account's limit is reached; set it in DAYBOOK__TUSHARE_API_LIMITS, or run again later.",
            WAIT_S[unit] if asked_to_wait is None else asked_to_wait,
            _allowed(words),
        )
    if TOKEN_WORDS.search(words) or code in (40101, "40101"):
        raise errors.BadCredentials(f"{said} Check TUSHARE_TOKEN against the account's page.")
    if PERMISSION_WORDS.search(words) or code in (-2002, 2002, 40203):
        raise errors.NotPermitted(f"{said} The account lacks the points for this endpoint, or too many hosts use it.")
    raise errors.UnexpectedReply(f"{said} Nothing was stored; the answer is in the archive as {reply.reply_id}.")


def _allowed(words: str) -> tuple[int, float] | None:
    """Calls allowed, and in how many seconds, where the vendor says it."""
    found = ALLOWED_WORDS.search(words)
    if not found:
        return None
    calls = int(found["calls"] or found["calls2"])
    return (calls, WAIT_S[found["unit"] or found["unit2"]]) if calls > 0 else None


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
            arrays[column.name] = _array(values, column.type)
        except (ValueError, TypeError, OverflowError, pa.ArrowInvalid) as exc:
            raise errors.UnexpectedReply(
                f"{described}: a value of {column.name} cannot be read as {column.type} ({str(exc)[:80]}). Nothing was "
                "stored; look at the archived answer."
            ) from None
    return pa.table(arrays)


def _array(values: list[Any], kind: str) -> pa.Array:
    """A column in its type: as a whole where its values are of the usual sort, else value by value."""
    sorts = set(map(type, values))
    if kind == "DOUBLE" and sorts <= {float, int, type(None)}:
        with contextlib.suppress(pa.ArrowInvalid, OverflowError):
            numbers = pa.array(values, pa.float64(), from_pandas=True)
            if not pc.any(pc.is_inf(numbers)).as_py():
                return numbers
    if kind in ("DATE", "VARCHAR", "BOOLEAN") and sorts <= {str, type(None)}:
        words = pa.array(values, pa.string()).dictionary_encode()
        typed = pa.array([_typed(word, kind) for word in words.dictionary.to_pylist()], ARROW_TYPES[kind])
        return typed.take(words.indices)
    return pa.array([_typed(value, kind) for value in values], ARROW_TYPES[kind])


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
        if isinstance(value, str) and not NUMBER.fullmatch(value):
            raise ValueError(f"{value[:20]!r} is not a number")
        number = float(value)
        if math.isinf(number):
            raise ValueError(f"{str(value)[:20]!r} is not finite")
        return None if math.isnan(number) else number
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:20]!r} is not text")
    return value


def _unexpected(reply: http.Reply, what: str) -> errors.UnexpectedReply:
    return errors.UnexpectedReply(
        f"{reply.described}: {what}. Nothing was stored; the answer is in the archive as {reply.reply_id}."
    )
