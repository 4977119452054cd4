"""When are the exchanges of Shanghai and Shenzhen open, and when are the offices behind FRED closed?

Weekends are always closed in China, even where the State Council makes them working days; weekday holidays are listed
by year. A year without a list has every weekday open, which is also what the vendor serves before the notice is out.
American federal holidays follow from rules. Partners: `market.py`, which counts its sessions back from an end date, and
`market_macro.py`, whose daily series have no value on a holiday.
"""

from __future__ import annotations

from datetime import date, timedelta

# Weekday closures as MMDD, from the yearly notices of the Shanghai Stock Exchange; 2027 is a guess.
_HOLIDAYS = {
    2020: "0101 0124 0127 0128 0129 0130 0131 0406 0501 0504 0505 0625 0626 1001 1002 1005 1006 1007 1008",
    2021: "0101 0211 0212 0215 0216 0217 0405 0503 0504 0505 0614 0920 0921 1001 1004 1005 1006 1007",
    2022: "0103 0131 0201 0202 0203 0204 0404 0405 0502 0503 0504 0603 0912 1003 1004 1005 1006 1007",
    2023: "0102 0123 0124 0125 0126 0127 0405 0501 0502 0503 0622 0623 0929 1002 1003 1004 1005 1006",
    2024: "0101 0209 0212 0213 0214 0215 0216 0404 0405 0501 0502 0503 0610 0916 0917 1001 1002 1003 1004 1007",
    2025: "0101 0128 0129 0130 0131 0203 0204 0404 0501 0502 0505 0602 1001 1002 1003 1006 1007 1008",
    2026: "0101 0102 0216 0217 0218 0219 0220 0223 0406 0501 0504 0505 0619 0925 1001 1002 1005 1006 1007",
    2027: "0101 0208 0209 0210 0211 0212 0405 0503 0504 0505 0609 0915 1001 1004 1005 1006 1007",
}
FIRST_YEAR = min(_HOLIDAYS)


def calendar_between(first: date, last: date) -> dict[date, bool]:
    """Each calendar day from first to last, in order, to open (True) or closed."""
    holidays = {
        date(year, int(text[:2]), int(text[2:])) for year, listed in _HOLIDAYS.items() for text in listed.split()
    }
    days = (first + timedelta(days=offset) for offset in range((last - first).days + 1))
    return {day: day.weekday() < 5 and day not in holidays for day in days}


def sessions_until(end_date: date, n_sessions: int) -> tuple[date, ...]:
    """The last n sessions up to end_date, ascending.

    Raises:
        ValueError: the window starts before the first year whose holidays are known; ask for fewer sessions.
    """
    calendar = calendar_between(date(FIRST_YEAR, 1, 1), end_date)
    sessions = [day for day, is_open in calendar.items() if is_open]
    if len(sessions) < n_sessions:
        raise ValueError(
            f"The synthetic market has {len(sessions)} sessions from {FIRST_YEAR} to {end_date}, asked for "
            f"{n_sessions}. Ask for fewer sessions or a later end_date."
        )
    return tuple(sessions[-n_sessions:])


def american_holidays(first_year: int, last_year: int) -> frozenset[date]:
    """Weekdays on which American federal offices are closed, moved to Friday or Monday where they fall on a weekend.

    Source:
        5 U.S.C. 6103; Juneteenth since 2021.
    """
    found: set[date] = set()
    for year in range(first_year, last_year + 1):
        fixed = [date(year, 1, 1), date(year, 7, 4), date(year, 11, 11), date(year, 12, 25)]
        if year >= 2021:
            fixed.append(date(year, 6, 19))
        found |= {day + timedelta(days={5: -1, 6: 1}.get(day.weekday(), 0)) for day in fixed}
        found |= {_nth_weekday(year, month, number, 0) for month, number in ((1, 3), (2, 3), (9, 1), (10, 2))}
        found |= {_nth_weekday(year, 6, 1, 0) - timedelta(days=7), _nth_weekday(year, 11, 4, 3)}
    return frozenset(found)


def _nth_weekday(year: int, month: int, number: int, weekday: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (number - 1))
