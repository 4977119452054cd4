"""A desk's own block is shown, traced and verified like any other; a bad one costs a line, not the page."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, date, datetime
from pathlib import Path

import planting
import pytest

from flows import settings, steps
from reports import desk, proving, site
from reports.blocks import Figure, Note, Table
from warehouse import lake, runs
from warehouse.tables import feature, market

DAY = date(2024, 1, 10)
NOW = datetime(2024, 1, 10, 12, tzinfo=UTC)
DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "desk_blocks.md"
EXAMPLE = re.search(r"```toml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)[1]
SHARES = """
title = "Amounts"
query = "select ts_code, amount_cny from analyst.price_adjusted where trade_date = $as_of order by ts_code"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory, lay_out):
    """A home with one session of twelve securities that traded 1,000 to 12,000 CNY."""
    folder = tmp_path_factory.mktemp("desk")
    location = lake.LakeLocation(folder / "lake", memory_limit="1GB", threads=1)
    lay_out(location)
    codes = [f"{600001 + n}.SH" for n in range(12)]
    flat = dict.fromkeys(("open", "high", "low", "close", "pre_close"), 1.0) | {"vol": 10.0, "load_id": "test"}
    bars = [
        flat | {"ts_code": c, "trade_date": DAY, "amount": n + 1.0, "retrieved_at": NOW} for n, c in enumerate(codes)
    ]
    changes = [{"ts_code": code, "trade_date": DAY, "log_return_1d": 0.0} for code in codes]
    with lake.open_writer(location, holder="test") as opened:
        for table, rows in ((market.DAILY, bars), (feature.LOG_RETURN, changes)):
            planting.insert(opened, table, rows)
    return folder


@pytest.fixture(scope="module")
def opened(home):
    location = lake.LakeLocation(home / "lake", memory_limit="1GB", threads=1)
    with lake.open_reader(location) as newest:
        snapshot = newest.snapshot
    with lake.open_reader(location, snapshot=snapshot) as reader:
        yield reader


def read(opened, folder, **files):
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    return desk.read(opened, folder, DAY)


@pytest.fixture(scope="module")
def sections(opened):
    """The day without blocks of a desk: read once, as it takes a second and they are put beside it."""
    return site.read_day(opened, DAY)


@pytest.fixture
def page_of(opened, sections):
    trace = {"run_id": f"daily/{DAY}", "snapshot": opened.snapshot, "code_version": "2026.1"}
    return lambda found: site.render_day(found.put_into(sections), trace=trace, as_of=DAY, up_colour="red")


def test_example_of_the_documents_works_as_it_stands(opened, tmp_path):
    found = read(opened, tmp_path, concentration=EXAMPLE)

    assert found.problems == ()
    ((section, block),) = found.blocks
    assert section == "market" and isinstance(block, Figure)
    # 3 to 12 of 1 to 12: 75 of 78.
    assert block.chart.rows == (("2024-01-10", pytest.approx(75 / 78)),)
    assert block.caption == (
        "Share of the day's amount in the ten most traded securities: 96.2 % on 2024-01-10, 96.2 % at the start."
    )
    assert block.source.views == ("analyst.price_adjusted",)
    assert re.fullmatch(r"concentration\.toml [0-9a-f]{8}", block.source.file)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("", "600012.SH"),
        ('formats = { amount_cny = "amount_cny" }', "0.0 m CNY"),
        ('show = "bars"\nx = "ts_code"\ny = "amount_cny"', "600012.SH"),
        ('show = "columns"\nx = "ts_code"\ny = "amount_cny"', "12"),
        ('show = "histogram"\ny = "amount_cny"\nwide = true', "12"),
        ('show = "text"\ntext = "{{ rows|length }} traded, <b>{{ rows[0].ts_code }}</b> first"', "&lt;b&gt;600001.SH"),
    ],
    ids=["table", "formatted", "bars", "columns", "histogram", "text"],
)
def test_block_of_every_shape_is_shown(opened, page_of, tmp_path, shape, words):
    found = read(opened, tmp_path, amounts=SHARES + shape)
    page = page_of(found)

    assert found.problems == ()
    own = page.split('<section id="desk"')[1].split("</section>")[0]
    assert "Amounts" in own and words in own and "block amounts.toml" in own


def test_block_is_verified_and_one_changed_since_is_named(opened, page_of, tmp_path):
    page = page_of(read(opened, tmp_path, amounts=SHARES))

    _, differences = proving.prove(page, opened, code_version="2026.1", blocks_folder=tmp_path)
    assert differences == []

    twice = SHARES.replace("select ts_code, amount_cny", "select ts_code, 2 * amount_cny as amount_cny")
    (tmp_path / "amounts.toml").write_text(twice)
    _, differences = proving.prove(page, opened, code_version="2026.1", blocks_folder=tmp_path)
    assert "desk/amounts/600001.SH/amount_cny" in [one.name for one in differences]


BAD = {
    "no_toml": ("title = ", "Invalid value"),
    "no_title": ('query = "select 1"', "it has no title. Write title"),
    "unknown_key": (SHARES + 'colour = "red"', "an unknown key 'colour'. Known keys: title, query"),
    "unknown_shape": (SHARES + 'show = "pie"', "show is 'pie'. Use one of table, line"),
    "unknown_section": (SHARES + 'section = "front"', "section is 'front'. Use one of overview"),
    "unknown_format": (SHARES + 'formats = { amount_cny = "euro" }', "the format of amount_cny is 'euro'"),
    "failing_sql": (SHARES.replace("price_adjusted", "prices"), "prices does not exist"),
    "no_question": ('title = "t"\nquery = "drop table ops.run"', "only a SELECT can be asked"),
    "unknown_field": (
        SHARES + 'show = "bars"\nx = "ts_code"\ny = "volume"',
        "the field 'volume'; the query returns ts_code, amount_cny",
    ),
    "no_axis": (SHARES + 'show = "line"\ny = "amount_cny"', "to be shown as line it needs x and y"),
    "no_number": (
        SHARES + 'show = "bars"\nx = "amount_cny"\ny = "ts_code"',
        "a chart needs numbers, and the field 'ts_code' is string",
    ),
    "bad_template": (SHARES + 'text = "{{ rows[0].nothing|share }}"', "nothing"),
    "unsafe_template": (SHARES + "text = \"{{ ''.__class__.__mro__ }}\"", "unsafe"),
    "wrong_type": (SHARES + "y = 5", "int"),
    "too_many": ('title = "t"\nquery = "select range from range(3000)"', "more than 2,500 rows. Aggregate them"),
}


def test_bad_blocks_cost_a_line_each_and_never_the_page(opened, page_of, tmp_path):
    found = read(opened, tmp_path, **{name: text for name, (text, _) in BAD.items()}, good=SHARES)

    assert len(found.problems) == len(BAD) and len(found.blocks) == 1
    for name, (_, words) in BAD.items():
        (said,) = [problem for problem in found.problems if f" {name}.toml " in problem]
        assert words in said and said.endswith(desk.MEND), said
    plain, page = page_of(desk.Found()), page_of(found)
    assert page.count('<div class="note warn">') == plain.count('<div class="note warn">') + len(BAD)
    assert re.findall('<section id="([a-z]+)"', page) == [*re.findall('<section id="([a-z]+)"', plain), "desk"]


def test_query_that_does_not_end_is_stopped(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(desk, "QUERY_S", 0.2)
    endless = 'title = "t"\nquery = "select sum(a.range * b.range) as n from range(10000000) as a, range(1000000) as b"'

    found = read(opened, tmp_path, endless=endless)

    assert "INTERRUPT" in found.problems[0]
    assert opened.read_value("select 1") == 1


def test_block_without_rows_says_so(opened, tmp_path):
    found = read(opened, tmp_path, empty=SHARES.replace("= $as_of", "> $as_of"))

    assert isinstance(found.blocks[0][1], Note) and "returns no row" in found.blocks[0][1].text


def test_long_table_says_how_much_it_leaves_out(opened, tmp_path):
    found = read(opened, tmp_path, long='title = "t"\nquery = "select range as n from range(100) order by n"')

    table = found.blocks[0][1]
    assert isinstance(table, Table) and len(table.rows) == desk.MOST_ROWS and table.caption == "t, the first 40 of 100"


def test_folder_that_is_not_there_is_said(opened, tmp_path):
    assert "there is no folder nowhere" in desk.read(opened, tmp_path / "nowhere", DAY).problems[0]


def test_run_says_in_its_message_which_block_is_not_shown(home, tmp_path):
    (tmp_path / "banks.toml").write_text(SHARES.replace("price_adjusted", "prices"))
    options = settings.read_settings(home=home, desk_blocks=tmp_path, _env_file=None)
    context = dataclasses.replace(steps.open_context(options, "daily", DAY), now=NOW)

    def publish_only(step, context, as_of):
        return step.run(context, as_of, steps.no_progress) if step.name == "publish" else {}

    facts = steps.run_daily(context, DAY, publish_only)

    with context.reader() as reader:
        run = runs.read_newest(reader).to_pylist()[0]
    assert run["state"] == "ok"
    assert "The desk's block banks.toml is not shown: query failed" in run["message"]
    assert "banks.toml" in Path(facts["report"]).read_text("utf-8")
