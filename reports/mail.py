"""How does a day's report read as the body of a mail?

Mail clients run no script, drop style sheets and hide pictures until asked: so styles stand in the tags, and where the
page draws, the mail says the newest numbers. Charts are not attached: that needs a renderer of SVG, and a figure that
can be read beats a picture that must be fetched. The same snapshot gives the same bytes. Partner: `mail.html`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date
from email.message import EmailMessage
from email.policy import SMTP

from reports import site, texts
from reports.blocks import Block, Figure, Listing, Note, Section, Table, Tiles

# Gmail cuts what is longer than 102 kB of HTML and says so; what follows is then one click away.
UP_AND_DOWN = {"red": ("#c02626", "#1a7f37"), "green": ("#1a7f37", "#c02626")}
GROUNDS = {"": "#59636e", "warn": "#9a6700", "good": "#1a7f37"}


def compose(sections: Sequence[Section], *, trace: dict[str, object], as_of: date, up_colour: str) -> bytes:
    """The mail, as a file that mail programs open and senders send: plain text, and HTML beside it.

    Args:
        sections: what the day shows.
        trace: run_id, snapshot and code_version, in its last line.
        as_of: the day.
        up_colour: `red` or `green`.
    """
    first = sections[0].blocks if sections else ()
    status = next((block.text for block in first if isinstance(block, Note)), "")
    changed = next((block.items[0] for block in first if isinstance(block, Listing)), "")
    title = texts.readable(f"Daybook {as_of}")
    last_line = (
        f"Built from snapshot {trace['snapshot']} of the lake by run {trace['run_id']}, Daybook"
        f" {trace['code_version']}. The page with its charts: daybook report --as-of {as_of}"
    )
    up, down = UP_AND_DOWN[up_colour]
    html = site.template("mail.html").render(
        title=title,
        sections=sections,
        grounds=GROUNDS,
        colours={"": "", "up": f";color:{up}", "down": f";color:{down}"},
        newest=newest,
        last_line=last_line,
    )
    plain = texts.readable("\n".join([*_lines(title, sections), last_line, ""]))
    message = EmailMessage(policy=SMTP)
    # A line break in a header would begin another header.
    message["Subject"] = " ".join(f"{title}: {texts.shortened(texts.readable(f'{status} {changed}'), 160)}".split())
    message.set_content(plain)
    message.add_alternative(html, subtype="html")
    message.set_boundary("daybook-" + hashlib.sha256((plain + html).encode()).hexdigest()[:32])
    return message.as_bytes()


def newest(block: Figure) -> str:
    """The last numbers of a chart over time, empty for other charts."""
    if block.chart.span is None or not block.chart.rows:
        return ""
    last = block.chart.rows[-1]
    said = [
        f"{head} {value:.4g}"
        for head, value in zip(block.chart.heads[1:], last[1:], strict=True)
        if isinstance(value, (int, float))
    ]
    return f"{str(last[0])[:10]}: {', '.join(said)}"


def _lines(title: str, sections: Sequence[Section]) -> Iterator[str]:
    yield title
    for section in sections:
        yield from ("", section.title, "=" * len(section.title))
        for block in section.blocks:
            yield from _block_lines(block)


def _block_lines(block: Block) -> Iterator[str]:
    if isinstance(block, Note):
        yield from (block.text, "")
    elif isinstance(block, Listing):
        yield from (block.title, *(f"- {item}" for item in block.items), "")
    elif isinstance(block, Tiles):
        yield from (f"{tile.label}: {tile.value}" + (f" ({tile.note})" if tile.note else "") for tile in block.tiles)
        yield ""
    elif isinstance(block, Table):
        yield from (block.caption, " | ".join(block.columns))
        yield from (" | ".join(cell.text for cell in row) for row in block.rows)
        yield ""
    else:
        yield from (" ".join(part for part in (block.title, newest(block)) if part), block.caption, "")
