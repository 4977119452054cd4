"""What is shown of a run in Prefect's UI, as far as no server is needed; with one: test_demo.py, test_console.py."""

from __future__ import annotations

import logging
from datetime import date

import httpx
import pytest

from flows import deployments, settings, showing
from warehouse import errors


@pytest.mark.parametrize(
    ("error", "has_lines"), [(errors.PartialData("planted gap"), False), (ValueError("planted bug"), True)]
)
def test_error_that_was_foreseen_is_told_in_one_line(error, has_lines):
    assert deployments.daily.name == "daily"
    # Of Prefect's engine; without its handlers, which want a run.
    logger = logging.getLogger("prefect.flow_runs")
    words = "Encountered exception during execution: %r"
    record = logger.makeRecord(logger.name, logging.ERROR, "", 1, words, (error,), (type(error), error, None))

    assert logger.filter(record)

    assert "planted" in record.getMessage() and bool(record.exc_info) is has_lines


def test_server_that_is_away_costs_a_table_and_no_run(caplog):
    def refused():
        raise httpx.ConnectError("planted")

    def wrong():
        raise KeyError("planted")

    with caplog.at_level("WARNING", logger="flows"):
        assert showing.quietly(refused) is None

    assert "not shown in Prefect reason=ConnectError" in caplog.text
    with pytest.raises(KeyError):
        showing.quietly(wrong)


def test_every_asset_is_made_of_assets_down_to_the_vendors():
    made = {key: used for step in showing.LINEAGE for keys, used in [showing.LINEAGE[step]] for key in keys}
    used = {one for every in made.values() for one in every}

    assert used - set(made) == {showing.TUSHARE, showing.FRED}
    assert set(made) | used == set(showing.MEANINGS)


def test_macro_half_alone_makes_nothing_of_the_market():
    made, used = showing.lineage("ingest", has_market=False)

    assert [one.key for one in made] == [showing.MACRO] and [one.key for one in used] == [showing.FRED]
    assert showing.lineage("decide", has_market=True) == ([], [])


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("", "http://127.0.0.1:4201/2026-11-20.html"),
        ("https://desk.example/daybook/", "https://desk.example/daybook/2026-11-20.html"),
    ],
)
def test_report_is_linked_where_others_reach_it(url, link):
    options = settings.read_settings(report_url=url, _env_file=None)

    assert showing.report_link(options, date(2026, 11, 20)) == link
