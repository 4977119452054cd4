"""A report as a mail: readable without scripts, style sheets or pictures, and without them in plain text."""

from __future__ import annotations

import email
import email.policy
import re
from datetime import date

import numpy as np

from reports import blocks, charts, mail, numbers
from reports.blocks import Figure, Listing, Note, Section, Source, Table, Tile, Tiles

AS_OF = date(2026, 11, 20)
TRACE = {"run_id": "daily/2026-11-20", "snapshot": 12, "code_version": "2026.1"}


def compose(note="Everything expected is here.", **options):
    line = charts.line_chart(
        ["2026-11-19", "2026-11-20"], [charts.Line("CSI 300", np.array([1.0, 1.25]))], label="l", write=str
    )
    shown = (
        Note(note, "good", Source(("analyst.alert",))),
        Listing("Since 2026-11-19", ["1 alert resolved"]),
        Tiles([Tile("Traded", "64.1 bn CNY", "20-session mean", "up")]),
        Table("Best", ("Code", "1 session"), [[blocks.text("600001.SH"), blocks.number(numbers.change(0.1), "up")]]),
        Figure("Index", line, "Growth."),
    )
    raw = mail.compose(
        [Section("overview", "Today", shown)], trace=TRACE, as_of=AS_OF, **({"up_colour": "red"} | options)
    )
    return raw, email.message_from_bytes(raw, policy=email.policy.default)


def test_mail_says_the_same_in_plain_text_and_in_html():
    _, message = compose()

    parts = [message.get_body(kinds).get_content() for kinds in (("plain",), ("html",))]
    for words in (
        "Everything expected is here.",
        "1 alert resolved",
        "64.1 bn CNY",
        "600001.SH",
        "+10.00 %",
        "CSI 300 1.25",
    ):
        assert all(words in part for part in parts), words
    assert message["Subject"] == "Daybook 2026-11-20: Everything expected is here. 1 alert resolved"
    assert all("snapshot 12" in part and "daily/2026-11-20" in part for part in parts)


def test_mail_needs_no_style_sheet_no_script_and_no_address():
    _, message = compose()

    html = message.get_body(("html",)).get_content()
    assert not re.search(r"<(style|script|link|img|svg)|class=|https?:|url\(", html)
    assert "color:#c02626" in html


def test_up_in_the_mail_has_the_colour_of_the_desk():
    _, message = compose(up_colour="green")

    assert (
        "+10.00 %"
        in re.search(r";color:#1a7f37\">([^<]*)<", message.get_body(("html",)).get_content().split("Best")[1])[1]
    )


def test_mail_is_the_same_to_the_byte_when_composed_again():
    assert compose()[0] == compose()[0]


def test_hostile_text_makes_no_header_and_no_tag():
    _, message = compose("x\r\nBcc: thief@example.org\r\n\r\n<script>alert(1)</script>\u202e")

    assert message["Bcc"] is None and len(message["Subject"]) < 200
    assert "<script" not in message.get_body(("html",)).get_content()
    assert "\u202e" not in message.get_body(("plain",)).get_content()
