"""How is one alert written in a message?

A desk may say so itself, with `DAYBOOK__ALERT_TEMPLATE`. A template that cannot be filled loses no alert: they are
written as usual, and the message says what is wrong with it. Partner: `alerts.py`.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

USUAL = "[{severity}] {title}\n  {action}\n  {evidence_sql}"
FIELDS = (
    "action",
    "evidence",
    "evidence_sql",
    "fingerprint",
    "rule",
    "severity",
    "subject",
    "subject_date",
    "title",
)


@dataclass(frozen=True)
class Wording:
    """How the alerts of a message are written.

    Args:
        template: text with names of `FIELDS` in braces; a brace itself is written twice. Empty for the usual one.
    """

    template: str = ""

    @property
    def fault(self) -> str:
        """What is wrong with the template, and what to do, in one line; empty when nothing is."""
        try:
            names = [
                (name, form, turn)
                for _, name, form, turn in string.Formatter().parse(self.template)
                if name is not None
            ]
        except ValueError as exc:
            return f"DAYBOOK__ALERT_TEMPLATE is no template: {exc}. Write {{{{ for a brace; the usual text is used."
        # What a format could reach beyond a name is nobody's business, such as attributes.
        wrong = sorted({name or "{}" for name, form, turn in names if name not in FIELDS or form or turn})
        if not wrong:
            return ""
        return (
            f"DAYBOOK__ALERT_TEMPLATE names {', '.join(wrong)}, which no alert has. Name only"
            f" {', '.join(FIELDS)}; the usual text is used."
        )

    def write(self, alert: Mapping[str, Any]) -> str:
        """One alert as a message tells it.

        Args:
            alert: a row with the columns of `FIELDS`.
        """
        template = USUAL if self.fault or not self.template else self.template
        return template.format(**{name: alert[name] for name in FIELDS if f"{{{name}}}" in template})
