"""The message about alerts: gravest first, with what to do, and short enough to read."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from reports import alerts, wording

AS_OF = date(2026, 11, 20)


def alert(severity, subject, rule="missing_day"):
    return {
        "severity": severity,
        "rule": rule,
        "subject": subject,
        "subject_date": AS_OF,
        "title": f"{subject} is wrong",
        "action": "Look at it.",
        "evidence_sql": f"from analyst.alert where subject = '{subject}'",
    }


def composed(*rows, template=""):
    return alerts.compose(
        pa.Table.from_pylist(list(rows)),
        as_of=AS_OF,
        head=alerts.Letterhead("file:///r.html", wording.Wording(template)),
    )


def test_message_names_the_gravest_first_and_counts_the_others():
    message = composed(alert("low", "B"), alert("high", "A"), alert("medium", "C"))

    assert message.title == "Daybook 2026-11-20: A is wrong and 2 more"
    assert message.severity == "high"
    assert message.body.index("A is wrong") < message.body.index("C is wrong") < message.body.index("B is wrong")


def test_message_says_what_to_do_where_to_look_and_where_the_report_is():
    body = composed(alert("high", "A")).body

    assert "Look at it." in body
    assert "from analyst.alert where subject = 'A'" in body
    assert body.endswith("Report: file:///r.html")


def test_message_stays_short_when_hundreds_of_alerts_come():
    message = composed(*(alert("low", f"S{number:03}") for number in range(300)))

    assert message.body.count("is wrong") == alerts.MOST_ALERTS
    assert f"and {300 - alerts.MOST_ALERTS} more" in message.body


def test_message_about_nothing_is_refused():
    with pytest.raises(ValueError, match="2026-11-20"):
        alerts.compose(pa.table({"severity": pa.array([], pa.string())}), as_of=AS_OF, head=alerts.Letterhead())


def test_desk_may_say_how_an_alert_is_written():
    body = composed(alert("high", "A"), template="{subject} of {subject_date} ({severity}) {{see}} {rule}").body

    assert f"A of {AS_OF} (high) {{see}} " in body
    assert "Look at it." not in body


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{colour} {title}", "names colour, which no alert has"),
        ("{}", "names {}, which no alert has"),
        ("{title.__class__}", "names title.__class__, which no alert has"),
        ("{title!r}", "names title, which no alert has"),
        ("{title", "is no template: expected '}' before end of string"),
    ],
)
def test_template_that_cannot_be_filled_loses_no_alert_and_is_named_in_one_line(template, words):
    body = composed(alert("high", "A"), template=template).body

    assert "[high] A is wrong" in body
    (line,) = [line for line in body.splitlines() if "DAYBOOK__ALERT_TEMPLATE" in line]
    assert words in line
    assert wording.Wording(template).fault == line
