"""What is wrong or out of the ordinary, on what evidence, and what is to be done about it?

Alerts that are open stand by family, the gravest first, each with the figures that its rule kept; what somebody has
decided on stands apart from them, and what has ended since the report before is named. The SQL behind an alert is on
its own page. Partners: `reports/subjects/alert.py`, `warehouse/rule_families.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from reports import blocks, numbers, reading, texts
from reports.blocks import Block, Cell, Note, Section, Table
from reports.tracing import Reader, walk
from warehouse import rule_families
from warehouse.tables import ops

ANCHOR = "anomalies"
MOST_A_FAMILY = 15
MOST_OTHERS = 10
# Figures of an alert that a line bears; its page has them all.
MOST_FIGURES, MOST_ITEMS, LONGEST_VALUE = 8, 3, 60
# By which figure of their evidence detectors rank what they find.
STRENGTHS = ("anomaly_score", "robust_z")
TITLES = {
    rule_families.DATA: "The data",
    rule_families.BARS: "Single bars",
    rule_families.MARKET: "The market",
    rule_families.MODEL: "Models",
}
WORDS = {
    rule_families.DATA: "about the data",
    rule_families.BARS: "about single bars",
    rule_families.MARKET: "about the market",
    rule_families.MODEL: "about models",
}

Row = dict[str, Any]


def section(lake: Reader, as_of: date) -> Section:
    """What needs a look, with its evidence.

    Raises:
        LakeError: the lake cannot be read.
    """
    return Section(ANCHOR, "Anomalies", (*walk(lake, _alert_blocks, as_of), *walk(lake, _wrong_rules)))


def _alert_blocks(lake: Reader, as_of: date) -> list[Block]:
    before = reading.read_day_before(lake, as_of)
    rows = lake.read(
        "select * from analyst.alert where least(first_seen_date, subject_date) <= $as_of"
        " and (state <> 'resolved' or (resolved_date > $since and resolved_date <= $as_of))"
        f" order by {ops.GRAVEST_FIRST}, last_seen_date desc, rule, subject, fingerprint",
        as_of=as_of,
        since=before or date.min,
    ).to_pylist()
    rows.sort(key=lambda row: (ops.SEVERITIES.index(row["severity"]), -_strength(row["evidence"])))
    is_open = [row for row in rows if row["state"] == "open"]
    is_decided = [row for row in rows if row["state"] not in ("open", "resolved")]
    has_ended = [row for row in rows if row["state"] == "resolved"]
    looked = _looked_at(lake, as_of)
    return [
        _summary(is_open, looked),
        *_family_tables(is_open),
        *_decided_table(is_decided),
        *_ended_table(has_ended, before),
    ]


def _summary(rows: list[Row], looked: str) -> Note:
    if not rows:
        return Note(f"No alert is open. {looked}", "good")
    n_high = sum(row["severity"] == "high" for row in rows)
    n_of = {family: len(list(_of_family(rows, family))) for family in rule_families.FAMILIES}
    told = ", ".join(f"{numbers.count(n)} {WORDS[family]}" for family, n in n_of.items() if n)
    are = "1 alert is" if len(rows) == 1 else f"{numbers.count(len(rows))} alerts are"
    grave = f"{numbers.count(n_high)} of high severity" if n_high else "none of high severity"
    return Note(f"{are} open, {grave}: {told}. {looked}", "warn" if n_high else "")


def _looked_at(lake: Reader, as_of: date) -> str:
    """Which rules look for trouble, and which bars they saw last."""
    of_families = ", ".join(f"{rule_families.count_rules(family)} {WORDS[family]}" for family in rule_families.FAMILIES)
    rules = f"{len(rule_families.OF_RULE)} rules look for trouble: {of_families}."
    rows = lake.read(
        "select c.trade_date, c.checked_at, l.n_received from ops.checked_session as c left join ops.ledger as l"
        " on l.dataset = 'market.daily' and l.partition = strftime(c.trade_date, '%Y-%m-%d')"
        " where c.trade_date <= $as_of order by c.trade_date desc limit 1",
        as_of=as_of,
    ).to_pylist()
    if not rows:
        return f"{rules} No session's bars have been looked at yet."
    row = rows[0]
    at = reading.in_shanghai(row["checked_at"])
    # A later run may have looked again; the day did not know of it.
    when = f", at {at:%H:%M} in Shanghai on {at:%Y-%m-%d}" if at.date() <= as_of else ""
    return f"{rules} The newest session looked at is {row['trade_date']}, {_bars(row['n_received'])}{when}."


def _bars(n: int | None) -> str:
    return f"{numbers.count(n or 0)} {texts.plural(n or 0, 'bar')}"


def _of_family(rows: list[Row], family: str) -> Iterator[Row]:
    return (row for row in rows if rule_families.of_rule(row["rule"]) == family)


def _family_tables(rows: list[Row]) -> Iterator[Table]:
    heads = ("Severity", "What", "Evidence", "What to do", "Since", "Last seen", "Runs")
    for family in rule_families.FAMILIES:
        own = list(_of_family(rows, family))
        if own:
            cells = [
                (*_told(row), blocks.text(row["action"].replace("`", '"')), *_seen(row)) for row in own[:MOST_A_FAMILY]
            ]
            yield Table(f"{TITLES[family]}: {_how_many(len(own), MOST_A_FAMILY, 'open')}", heads, cells, is_wide=True)


def _decided_table(rows: list[Row]) -> Iterator[Table]:
    if rows:
        heads = ("Severity", "What", "Evidence", "State", "Since", "Last seen", "Runs")
        cells = [(*_told(row), blocks.text(_decision(row)), *_seen(row)) for row in rows[:MOST_OTHERS]]
        how_many = _how_many(len(rows), MOST_OTHERS, "decided on")
        yield Table(f"Acknowledged or snoozed: {how_many}", heads, cells, is_wide=True)


def _ended_table(rows: list[Row], before: date | None) -> Iterator[Table]:
    if rows:
        heads = ("Severity", "What", "Since", "Last seen", "Runs")
        cells = [(*_told(row)[:2], *_seen(row)) for row in rows[:MOST_OTHERS]]
        since = f"Resolved since {before}" if before else "Resolved so far"
        yield Table(f"{since}: {_how_many(len(rows), MOST_OTHERS, 'no longer found')}", heads, cells, is_wide=True)


def _how_many(n: int, most: int, words: str) -> str:
    return f"{numbers.count(n)} {words}" + (f", the gravest {most}" if n > most else "")


def _told(row: Row) -> tuple[Cell, ...]:
    return (
        blocks.text(row["severity"]),
        blocks.link(row["title"], "alert", row["fingerprint"]),
        blocks.text(evidence_words(row["evidence"], (row["subject"], str(row["subject_date"])))),
    )


def _seen(row: Row) -> tuple[Cell, ...]:
    return (
        blocks.number(numbers.day(row["first_seen_date"])),
        blocks.number(numbers.day(row["last_seen_date"])),
        blocks.number(numbers.count(row["n_seen"])),
    )


def _decision(row: Mapping[str, Any]) -> str:
    """How an alert stands, and who said so."""
    until = f" until {row['until_date']}" if row["until_date"] else ""
    return f"{row['state']} by {row['decided_by']}{until}: {row['decision_reason']}"


def _strength(evidence: str) -> float:
    """How far out a detector found something; 0 where the rule says only whether."""
    held = _parsed(evidence)
    found = next((held[name] for name in STRENGTHS if name in held), 0.0) if isinstance(held, dict) else 0.0
    return abs(found) if isinstance(found, (int, float)) and found == found else 0.0


def _parsed(evidence: str) -> Any:
    try:
        return json.loads(evidence or "{}")
    except ValueError:
        return evidence


def evidence_words(evidence: str, said: tuple[str, ...] = ()) -> str:
    """What an alert's rule kept beside its sentence, on one line; missing when it kept nothing.

    Args:
        evidence: as stored, JSON or a plain text.
        said: values that stand beside it anyway.
    """
    held = _parsed(evidence)
    if not isinstance(held, dict):
        return texts.shortened(str(held), 2 * LONGEST_VALUE) if held else numbers.MISSING
    figures = [(name, value) for name, value in _flat(held) if value not in said]
    told = [f"{name} {value}".strip() for name, value in figures[:MOST_FIGURES]]
    if len(figures) > MOST_FIGURES:
        told.append(f"and {len(figures) - MOST_FIGURES} more on its page")
    return "; ".join(told) or numbers.MISSING


def _flat(held: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values as words; a mapping within adds its own pairs."""
    for name, value in held.items():
        if isinstance(value, dict):
            yield from _flat(value)
        else:
            yield name.removeprefix("n_").replace("_", " "), _value_words(value)


def _value_words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return numbers.count(value)
    if isinstance(value, float):
        return numbers.level(value)
    if isinstance(value, list):
        more = f" and {len(value) - MOST_ITEMS} more" if len(value) > MOST_ITEMS else ""
        return (", ".join(_value_words(one) for one in value[:MOST_ITEMS]) or "none") + more
    return numbers.MISSING if value is None else texts.shortened(str(value), LONGEST_VALUE)


def _wrong_rules(lake: Reader) -> list[Block]:
    """Rules that people mostly labelled false, so that their alerts are read with care until they are mended."""
    rows = lake.read(
        "select rule, n_true, n_labelled from analyst.rule_precision where is_mostly_wrong"
        " order by n_true / n_labelled, rule"
    ).to_pylist()
    told = ", ".join(f"{row['rule']} ({row['n_true']} of {row['n_labelled']} true)" for row in rows)
    return [Note(f"Mostly wrong, by the labels people gave its alerts: {told}.", "warn")] if rows else []
