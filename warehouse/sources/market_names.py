"""Who is listed on the synthetic market: codes, names, industries and boards.

Names are put together from syllables and belong to nobody; industries and boards are written as Tushare writes them.
Partner: `market.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Board:
    """One board: its name, its share of the market, how its codes are built, and since when it exists.

    A small market draws from `numbers`, so that it stays what it was; one they do not suffice for from `more` as well.
    """

    name: str
    share: float
    prefix: str
    numbers: range
    more: range
    exchange: str
    opened: date
    is_wide_limit: bool


BOARDS = (
    Board("主板", 0.44, "60", range(5001, 6000), range(1, 4000), "SH", date(1991, 1, 1), False),
    Board("主板", 0.27, "00", range(2001, 3000), range(1, 2000), "SZ", date(2004, 6, 25), False),
    Board("创业板", 0.19, "30", range(1, 1000), range(1000, 2000), "SZ", date(2009, 10, 30), True),
    Board("科创板", 0.10, "68", range(8001, 8800), range(8800, 9000), "SH", date(2019, 7, 22), True),
)
# Industry as Tushare writes it, the word in a company's name, the word's initials, and its group of factor exposures:
# 0 finance, 1 consumers, 2 technology, 3 resources.
INDUSTRIES = (
    ("银行", "银行", "YH", 0),
    ("证券", "证券", "ZQ", 0),
    ("保险", "保险", "BX", 0),
    ("全国地产", "置业", "ZY", 0),
    ("白酒", "酒业", "JY", 1),
    ("食品", "食品", "SP", 1),
    ("家用电器", "电器", "DQ", 1),
    ("化学制药", "制药", "ZY", 1),
    ("半导体", "微电", "WD", 2),
    ("软件服务", "软件", "RJ", 2),
    ("元器件", "光电", "GD", 2),
    ("电气设备", "新能", "XN", 2),
    ("煤炭开采", "煤业", "MY", 3),
    ("小金属", "稀材", "XC", 3),
    ("普钢", "钢铁", "GT", 3),
    ("石油开采", "油气", "YQ", 3),
)
_SYLLABLES = (
    *(("华", "H"), ("昌", "C"), ("泰", "T"), ("瑞", "R"), ("宏", "H"), ("嘉", "J"), ("晨", "C"), ("远", "Y")),
    *(("博", "B"), ("森", "S"), ("澜", "L"), ("岳", "Y"), ("启", "Q"), ("恒", "H"), ("云", "Y"), ("川", "C")),
)
AREAS = ("北京", "上海", "深圳", "浙江", "江苏", "广东", "山东", "四川", "湖北", "福建", "安徽", "陕西")


@dataclass(frozen=True)
class Securities:
    """Who is listed, in order of ts_code; `groups` and `is_wide_limit` are arrays of (n_symbols,)."""

    ts_codes: tuple[str, ...]
    names: tuple[str, ...]
    spellings: tuple[str, ...]
    areas: tuple[str, ...]
    industries: tuple[str, ...]
    boards: tuple[Board, ...]
    groups: npt.NDArray[np.int64]
    is_wide_limit: npt.NDArray[np.bool_]


def draw_securities(rng: np.random.Generator, n_symbols: int) -> Securities:
    """Securities of all boards and industries.

    Args:
        rng: decides codes and names.
        n_symbols: how many, up to about 10,000.

    Raises:
        ValueError: a board has too few codes.
    """
    counts = [round(n_symbols * board.share) for board in BOARDS[1:]]
    coded: list[tuple[str, Board]] = []
    for board, count in zip(BOARDS, [n_symbols - sum(counts), *counts], strict=True):
        numbers = np.array(board.numbers if count <= len(board.numbers) else [*board.numbers, *board.more])
        if count > len(numbers):
            raise ValueError(
                f"The synthetic market was asked for {n_symbols} securities, but {board.name} {board.prefix} has only "
                f"{len(numbers)} codes. Ask for at most {int(len(numbers) / board.share)}."
            )
        drawn = rng.choice(len(numbers), count, replace=False)
        coded += [(f"{board.prefix}{number:04d}.{board.exchange}", board) for number in numbers[drawn].tolist()]
    coded.sort()
    first, second = rng.integers(0, len(_SYLLABLES), (2, n_symbols)).tolist()
    kinds = [INDUSTRIES[at] for at in rng.permutation(np.arange(n_symbols) % len(INDUSTRIES)).tolist()]
    parts = [(_SYLLABLES[a], _SYLLABLES[b], kind) for a, b, kind in zip(first, second, kinds, strict=True)]
    return Securities(
        ts_codes=tuple(ts_code for ts_code, _ in coded),
        names=tuple(a[0] + b[0] + kind[1] for a, b, kind in parts),
        spellings=tuple(a[1] + b[1] + kind[2] for a, b, kind in parts),
        areas=tuple(AREAS[at] for at in rng.integers(0, len(AREAS), n_symbols).tolist()),
        industries=tuple(kind[0] for kind in kinds),
        boards=tuple(board for _, board in coded),
        groups=np.array([kind[3] for kind in kinds], dtype=np.int64),
        is_wide_limit=np.array([board.is_wide_limit for _, board in coded]),
    )
