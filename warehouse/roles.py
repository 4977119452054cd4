"""Which part does each forecasting version play: in charge, beside it, held back, or out of use?

Invariants: a decision is added, never changed; the newest of a version counts, by its day and then its number; a
reader of a past day sees the decisions of that day and before. Partner: `flows/promoting.py`, which decides.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import duckdb
import pyarrow as pa

from warehouse.lake import Lake
from warehouse.tables import model

CHAMPION, CHALLENGER, HELD, RETIRED, REFUSED = model.ROLES
# Who decided when no person did.
RULE = "rule"


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision about one version.

    Args:
        as_of_date: its day.
        model_version, model_name: which version.
        role: one of `model.ROLES`.
        reason: why, in words.
        evidence: the figures behind it; numbers that are not defined are left out.
        decided_by: `RULE`, or who.
        files_sha256: digest of the version that was judged.
    """

    as_of_date: date
    model_version: str
    model_name: str
    role: str
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    decided_by: str = RULE
    files_sha256: str = ""


def write_decisions(lake: Lake, decisions: Sequence[Decision], decided_at: datetime) -> None:
    """Add decisions, in their order; nothing is written when there is none.

    Raises:
        ContractViolation: a decision lacks what the table needs.
        LakeError: the lake refused; nothing was written.
    """
    if not decisions:
        return

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        newest = connection.execute(f"select coalesce(max(decision), 0) from {model.VERSION_ROLE.full_name}").fetchone()
        first = (newest[0] if newest else 0) + 1
        rows = [
            {
                "decision": number,
                "as_of_date": one.as_of_date,
                "model_version": one.model_version,
                "model_name": one.model_name,
                "role": one.role,
                "reason": one.reason,
                "evidence": _evidence_text(one.evidence),
                "decided_by": one.decided_by,
                "files_sha256": one.files_sha256,
                "decided_at": decided_at,
            }
            for number, one in enumerate(decisions, first)
        ]
        connection.register("new_rows", model.VERSION_ROLE.conform(pa.Table.from_pylist(rows)))
        connection.execute(f"insert into {model.VERSION_ROLE.full_name} by name select * from new_rows")
        connection.unregister("new_rows")

    last = decisions[-1]
    lake.commit(work, message=f"{len(decisions)} decisions about models, the last: {last.model_version} {last.role}")


def read_decisions(lake: Lake, as_of: date) -> list[Decision]:
    """Every decision of a day and before, the oldest first.

    Raises:
        LakeError: the lake cannot be read.
    """
    rows = lake.read(
        f"select * exclude (decision, decided_at) from {model.VERSION_ROLE.full_name}"
        " where as_of_date <= $as_of order by as_of_date, decision",
        as_of=as_of,
    ).to_pylist()
    return [Decision(**{**row, "evidence": json.loads(row["evidence"])}) for row in rows]


def standing(decisions: Sequence[Decision]) -> dict[str, Decision]:
    """What counts for each version: its newest decision.

    Args:
        decisions: the oldest first.

    Returns:
        Version to decision, in the order in which they were last decided.
    """
    found: dict[str, Decision] = {}
    for one in decisions:
        found.pop(one.model_version, None)
        found[one.model_version] = one
    return found


def champion_of(found: Mapping[str, Decision]) -> Decision | None:
    """The version in charge, None when nobody is.

    Args:
        found: from `standing`.

    Returns:
        Its decision.
    """
    return next((one for one in reversed(list(found.values())) if one.role == CHAMPION), None)


def _evidence_text(evidence: Mapping[str, Any]) -> str:
    """JSON with numbers of six digits: more would only tell in which order a sum was added."""
    plain = {
        name: float(f"{value:.6g}") if isinstance(value, float) else value
        for name, value in evidence.items()
        if not (isinstance(value, float) and not math.isfinite(value))
    }
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)
