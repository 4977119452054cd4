"""How does a day's report read as a mail?

Mail clients run no script, drop style sheets, show no SVG, hide pictures until asked, and cut what is long: so styles
stand in the tags, a few charts are painted and come along by content id, the newest numbers stand beside each as text,
and tables are cut. Invariants: the HTML stays below MOST_HTML bytes and the whole below MOST_BYTES, whatever a day
holds; the same snapshot gives the same bytes on the same machine. Partners: `digest.py`, `pictures.py`, `plain.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from email.message import EmailMessage
from email.policy import SMTP

from reports import digest, pictures, plain, site, texts
from reports.blocks import Figure, Listing, Note, Section
from reports.digest import Digest, Shown
from reports.pictures import Picture

# Gmail cuts the HTML of a mail behind 102 kB and says so; what follows is then one click away.
MOST_HTML = 96_000
MOST_PLAIN = 40_000
MOST_BYTES = 480_000
# Rows of a table: as many as fit, tried in this order.
ROWS = (10, 6, 3)
# Room kept for the frame, and for each section's heading and the names of what is not in it, in bytes.
FRAME, HEADING = 4_000, 2_500
UP_AND_DOWN = {"red": ("#c02626", "#1a7f37"), "green": ("#1a7f37", "#c02626")}
GROUNDS = {"": "#59636e", "warn": "#9a6700", "good": "#1a7f37"}
CONTENT_DOMAIN = "daybook.invalid"
NO_LETTERS = "Pictures are left out: this machine has no font to write them with. Install one, such as DejaVu Sans."


@dataclass(frozen=True)
class _Filled:
    """A section as HTML, as far as there was room."""

    title: str
    parts: tuple[str, ...]
    elsewhere: str
    address: str


@dataclass(frozen=True)
class _Looks:
    """What decides how blocks look.

    Args:
        colours: style of rises and falls.
        painted: pictures by the key of their block.
        page_url: address of the day's page, empty where there is none.
    """

    colours: Mapping[str, str]
    painted: Mapping[str, Picture]
    page_url: str

    def address(self, anchor: str) -> str:
        """Where the page has a section, empty where there is no page."""
        return f"{self.page_url}#{anchor}" if self.page_url else ""


def compose(
    sections: Sequence[Section], *, trace: Mapping[str, object], as_of: date, up_colour: str, page_url: str = ""
) -> bytes:
    """The mail, as a file that mail programs open and senders send: plain text, and HTML with pictures beside it.

    Args:
        sections: what the day shows.
        trace: run_id, snapshot and code_version, in its last line.
        as_of: the day.
        up_colour: `red` or `green`.
        page_url: address of the day's page, empty where it has none.
    """
    up, down = UP_AND_DOWN[up_colour]
    colours = {"": "", "up": f"color:{up}", "down": f"color:{down}"}
    painted = _paint(sections, up_colour)
    last_lines = [
        f"Built from snapshot {trace['snapshot']} of the lake by run {trace['run_id']}, Daybook"
        f" {trace['code_version']}. The page again: daybook report --as-of {as_of}",
        *([] if pictures.has_letters() else [NO_LETTERS]),
    ]
    title = texts.readable(f"Daybook {as_of}")
    plain_last = [*last_lines, *([f"The whole page: {page_url}"] if page_url else [])]
    subject, text = _subject(title, sections), _plain(title, sections, plain_last)

    def html(some: Mapping[str, Picture]) -> str:
        filled = _fill(sections, _Looks(colours, some, page_url))
        return site.template("mail.html").render(title=title, filled=filled, last_lines=last_lines, page_url=page_url)

    whole = html(painted)
    room = MOST_BYTES - len(_written(subject, text, whole, {}))
    fitting = _fitting(painted, room)
    return _written(subject, text, whole if len(fitting) == len(painted) else html(fitting), fitting)


def _fitting(painted: Mapping[str, Picture], room: int) -> dict[str, Picture]:
    """The first pictures, as many as fit into some bytes."""
    fitting: dict[str, Picture] = {}
    for key, picture in painted.items():
        # Base64 in lines of 76 signs, and headers.
        room -= len(picture.png) * 4 // 3 * 78 // 76 + 600
        if room < 0:
            break
        fitting[key] = picture
    return fitting


def _paint(sections: Sequence[Section], up_colour: str) -> dict[str, Picture]:
    """Pictures by the key of their block, the one to give up first last."""
    if not pictures.has_letters():
        return {}
    figures = [
        (digest.PICTURED.index(block.title), key, block.chart)
        for section in sections
        for key, block in digest.keyed(section)
        if isinstance(block, Figure) and block.title in digest.PICTURED
    ]
    figures.sort(key=lambda figure: figure[0])
    painted = {key: pictures.paint(chart, up_colour) for _, key, chart in figures[: len(digest.PICTURED)]}
    return {key: picture for key, picture in painted.items() if picture is not None}


def _fill(sections: Sequence[Section], looks: _Looks) -> list[_Filled]:
    """The sections with as many rows as fit; blocks for which there is no room are named."""
    filled: list[_Filled] = []
    for n_rows in ROWS:
        filled, is_whole = _fill_with(sections, n_rows, looks)
        if is_whole:
            break
    return filled


def _fill_with(sections: Sequence[Section], n_rows: int, looks: _Looks) -> tuple[list[_Filled], bool]:
    left, is_whole = MOST_HTML - FRAME, True
    filled: list[_Filled] = []
    for section in sections:
        left -= HEADING
        if left < 0:
            return filled, False
        held = digest.cut(section, n_rows)
        parts, elsewhere = [], list(held.elsewhere)
        for shown in held.shown:
            html = _block_html(shown, held, looks)
            size = len(html.encode())
            if size > left:
                elsewhere.append(digest.name_of(shown.block))
                is_whole = False
            else:
                left -= size
                parts.append(html)
        if parts or elsewhere:
            names = digest.names(elsewhere)
            filled.append(_Filled(held.title, tuple(parts), names, looks.address(held.anchor)))
    return filled, is_whole


def _block_html(shown: Shown, section: Digest, looks: _Looks) -> str:
    block = shown.block
    return site.template("mail_block.html").render(
        block=block,
        more_words=shown.more_words(),
        address=looks.address(section.anchor),
        grounds=GROUNDS,
        colours=looks.colours,
        newest=digest.newest(block.chart) if isinstance(block, Figure) else "",
        picture=looks.painted.get(shown.key),
        cid=f"{shown.key}@{CONTENT_DOMAIN}",
    )


def _plain(title: str, sections: Sequence[Section], last_lines: Sequence[str]) -> str:
    """The day as text, each section with as many rows as fit; one for which there is no room is named."""
    end = "\n".join(["", *(part for line in last_lines for part in plain.wrapped(line)), ""])
    text = ""
    for n_rows in ROWS:
        parts, is_whole = [title], True
        left = MOST_PLAIN - len((title + end).encode()) - HEADING
        for section in sections:
            lines = plain.lines(digest.cut(section, n_rows))
            if len("\n".join(lines).encode()) > left:
                lines, is_whole = plain.wrapped(f"{texts.shortened(section.title)}: on the page."), False
            part = "\n".join(["", *lines])
            left -= len(part.encode()) + 1
            parts += [part] if lines else []
        text = "\n".join([*parts, end])
        if is_whole:
            break
    return text


def _subject(title: str, sections: Sequence[Section]) -> str:
    first = sections[0].blocks if sections else ()
    status = next((block.text for block in first if isinstance(block, Note)), "")
    changed = next((block.items[0] for block in first if isinstance(block, Listing) and block.items), "")
    # A line break in a header would begin another header.
    return " ".join(f"{title}: {texts.shortened(texts.readable(f'{status} {changed}'), 160)}".split())


def _written(subject: str, text: str, html: str, painted: Mapping[str, Picture]) -> bytes:
    message = EmailMessage(policy=SMTP)
    message["Subject"] = subject
    # Seven bits, because a server that a mail passes may know no more.
    message.set_content(text, cte="quoted-printable")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    shown = list(message.iter_parts())[-1]
    for key, picture in painted.items():
        content_id = f"<{key}@{CONTENT_DOMAIN}>"
        shown.add_related(picture.png, "image", "png", cid=content_id, disposition="inline", filename=f"{key}.png")
    digests = hashlib.sha256((text + html).encode()).hexdigest()
    for place, part in enumerate(part for part in message.walk() if part.is_multipart()):
        part.set_boundary(f"daybook-{place}-{digests[:32]}")
    return message.as_bytes()
