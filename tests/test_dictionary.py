"""The data dictionary says what every column means, is true to the lake, and reads without its script."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import date
from html.parser import HTMLParser

import pytest

from reports import dictionary as page
from reports import site
from warehouse import dictionary, errors, sql
from warehouse.tables import TABLES


class Rows(HTMLParser):
    """Cells of the tables' rows, by the article they stand in."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.links, self.ids = {}, [], set()
        self._article = self._cells = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids.add(attributes.get("id"))
        if tag == "article":
            self._article = attributes["id"]
            self.rows[self._article] = []
        elif tag == "a":
            self.links.append(attributes["href"])
        elif tag == "tr":
            self._cells = []
        elif tag in ("td", "th") and self._cells is not None:
            self._cells.append("")

    def handle_endtag(self, tag):
        if tag == "tr":
            self.rows[self._article].append(self._cells)
            self._cells = None

    def handle_data(self, data):
        if self._cells:
            self._cells[-1] += data


@pytest.fixture
def entries(empty_lake):
    return dictionary.read_entries(empty_lake)


@pytest.fixture
def written(empty_lake, tmp_path):
    return page.publish(empty_lake, tmp_path / "reports", as_of=date(2024, 1, 10), code_version="2026.1")


def test_every_column_of_every_table_and_view_has_a_meaning_and_every_double_a_unit(entries):
    """One that fails here wants a line in `warehouse/tables/analyst.py`."""
    silent = [f"{e.full_name}.{c.name}" for e in entries for c in e.columns if not c.meaning]
    unmeasured = [f"{e.full_name}.{c.name}" for e in entries for c in e.columns if c.type == "DOUBLE" and not c.unit]

    assert (silent, unmeasured) == ([], [])


def test_every_declared_table_and_every_view_is_in_the_dictionary(entries):
    assert [e.full_name for e in entries if not e.is_view] == [table.full_name for table in TABLES]
    assert [e.name for e in entries if e.is_view] == sql.names("views")


def test_column_means_one_thing_in_one_view_when_its_tables_disagree(entries):
    found = {e.full_name: {c.name: c for c in e.columns} for e in entries}

    assert found["analyst.evaluation"]["n_rows"].meaning == "Rows tested."
    assert found["analyst.forecast"]["ts_code"].meaning == "Tushare security code, such as 600000.SH."
    assert found["analyst.price_adjusted"]["volume_shares"].unit == "shares"
    assert found["market.daily"]["vol"].unit == "lots of 100 shares"


def test_column_that_no_declaration_knows_is_read_from_its_comment(empty_lake):
    for statement in (
        "create table market.own (price double)",
        "comment on table market.own is 'Somebody''s own.'",
        "comment on column market.own.price is 'A price. [CNY]'",
    ):
        empty_lake.commit(lambda c, statement=statement: c.execute(statement), message="own table")

    entry = dictionary.find(dictionary.read_entries(empty_lake), "own")

    assert entry.meaning == "Somebody's own."
    assert (entry.columns[0].meaning, entry.columns[0].unit) == ("A price.", "CNY")


def test_name_is_found_with_and_without_its_schema_and_a_view_wins(entries):
    assert dictionary.find(entries, "price_adjusted").full_name == "analyst.price_adjusted"
    assert dictionary.find(entries, "alert").full_name == "analyst.alert"
    assert dictionary.find(entries, "ops.alert").full_name == "ops.alert"
    with pytest.raises(errors.ConfigError, match=r"no nothing\. It has: vendor\.reply"):
        dictionary.find(entries, "nothing")


def test_extents_count_rows_and_know_the_newest_day(empty_lake, bars, load_days):
    daily = next(table for table in TABLES if table.name == "daily")
    load_days(empty_lake, daily, bars("600000.SH 2024-05-06 10\n600000.SH 2024-05-07 11\n600001.SH 2024-05-07 9"))
    empty_lake.commit(
        lambda c: c.execute(
            "insert into feature.log_return by name select ts_code, trade_date from market.daily"
            " where trade_date < '2024-05-07'"
        ),
        message="rows",
    )

    found = dictionary.read_extents(empty_lake, dictionary.read_entries(empty_lake))

    assert found["market.daily"] == dictionary.Extent(3, date(2024, 5, 7))
    assert found["feature.log_return"] == dictionary.Extent(1, date(2024, 5, 6))
    assert found["macro.release"] == dictionary.Extent(0, None)
    assert "analyst.market_day" not in found


def test_macro_is_listed_with_its_arguments(empty_lake):
    empty_lake.commit(
        lambda c: c.execute("create macro bars_until(day) as table from market.daily where trade_date <= day"),
        message="own macro",
    )

    function = next(f for f in dictionary.read_functions(empty_lake) if f.name == "bars_until")

    assert function.call == "bars_until(day)" and function.is_table


def test_page_holds_every_declared_column_with_type_unit_and_meaning(written):
    rows = Rows(written.read_text("utf-8")).rows

    for table in TABLES:
        expected = [[c.name, c.type, c.unit or "", c.meaning.replace("`", "")] for c in table.columns]
        assert rows[table.full_name][1:] == expected
    assert set(rows) >= {f"analyst.{name}" for name in sql.names("views")}


def test_links_inside_the_page_lead_somewhere(written):
    read = Rows(written.read_text("utf-8"))

    assert {link for link in read.links if link.startswith("#")} <= {f"#{name}" for name in read.ids}
    assert {link for link in read.links if not link.startswith("#")} == {"index.html"}


def test_page_runs_our_script_alone_and_fetches_nothing(written):
    text = written.read_text("utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()

    data = re.findall(r'<script type="application/json" id="figures">', text)
    assert (len(scripts), len(data), text.count("<script")) == (1, 1, 2)
    assert f"script-src 'sha256-{digest}'" in text and "default-src 'none'" in text
    assert not re.search(r"https?://|@import|\bfetch\(|XMLHttpRequest|innerHTML", text)


def test_markup_in_a_meaning_is_shown_as_text_and_backticks_as_code():
    column = dictionary.ColumnEntry("<b>", "VARCHAR", True, "<i>", "see `<s>` and <u>")
    entry = dictionary.Entry("market", "own", False, "`one", "<q>", (), (column,), "")

    text = page.render([entry], {}, [], trace={"snapshot": 1, "code_version": "2026.1"})

    assert not re.search(r"<(b|i|s|u|q)>", text)
    assert "see <code>&lt;s&gt;</code> and &lt;u&gt;" in text
    assert "<p>`one</p>" in text


def test_index_leads_to_the_dictionary_once_it_is_there(empty_lake, tmp_path):
    def index():
        site.publish_day(
            empty_lake, tmp_path, as_of=date(2026, 11, 20), run_id="daily/2026-11-20", code_version="2026.1"
        )
        return (tmp_path / "index.html").read_text()

    before = index()
    page.publish(empty_lake, tmp_path, as_of=date(2024, 1, 10), code_version="2026.1")

    assert 'href="dictionary.html"' not in before
    assert 'href="dictionary.html"' in index()


def test_folder_that_cannot_be_made_is_a_setting_error(empty_lake, tmp_path):
    (tmp_path / "taken").write_text("")

    with pytest.raises(errors.ConfigError, match="taken"):
        page.publish(empty_lake, tmp_path / "taken" / "reports", as_of=date(2024, 1, 10), code_version="2026.1")


def test_search_hides_what_is_not_found_and_no_page_is_wider_than_its_screen(written, browser):
    told = []
    opened = browser.new_page(viewport={"width": 390, "height": 800})
    opened.on("console", lambda message: told.append(message.text))
    opened.goto(written.as_uri())
    n_all = opened.locator("article:visible").count()
    widths = [opened.evaluate("document.documentElement.scrollWidth")]
    opened.fill("#search input", "turnover shares")
    found = opened.locator("article:visible").evaluate_all("all => all.map(one => one.id)")
    rows = opened.locator("[id='market.daily_basic'] tbody tr:visible th").all_inner_texts()
    opened.fill("#search input", "")
    n_again = opened.locator("article:visible").count()
    opened.set_viewport_size({"width": 1400, "height": 800})
    widths.append(opened.evaluate("document.documentElement.scrollWidth"))
    silent = browser.new_context(java_script_enabled=False).new_page()
    silent.goto(written.as_uri())
    n_silent = silent.locator("article:visible").count()
    is_search_shown = silent.locator("#search").is_visible()

    assert n_all == n_again == n_silent == sum(len(of) for of in (TABLES, sql.names("views"), sql.names("macros")))
    assert found == ["analyst.price_adjusted", "market.daily_basic"]
    assert "turnover_rate" in rows and "pb" not in rows
    assert widths == [390, 1400] and told == [] and not is_search_shown
