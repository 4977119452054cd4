"""When flows run by themselves: the usual hours, a desk's own, and what is refused before a night is missed."""

from __future__ import annotations

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import cronsim
import pytest

from flows import schedules, settings
from warehouse import errors


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_a_desks_own_hours_replace_the_usual_ones_of_that_flow_only():
    found = schedules.schedules({"daily": "0 18 * * 1-5 Asia/Shanghai", "macro": "never"})

    assert found["daily"] == schedules.Schedule("0 18 * * 1-5", "Asia/Shanghai")
    assert found["macro"] is None
    assert found["refit"] == schedules.USUAL["refit"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 0 30 2 * UTC", "never fires"),
        ("0 0 31 4,6,9,11 * UTC", "never fires"),
        ("61 * * * * UTC", "Bad minute"),
        ("0 18 * * 1-5 Mars/Base", "no time zone 'Mars/Base'"),
        ("0 18 * * 1-5", "is no schedule"),
        ("every evening", "is no schedule"),
        ("", "is no schedule"),
    ],
)
def test_what_would_never_run_is_refused_when_the_settings_are_read(monkeypatch, text, words):
    monkeypatch.setenv("DAYBOOK__SCHEDULES", json.dumps({"daily": text}))

    with pytest.raises(errors.ConfigError, match=words) as refused:
        settings.read_settings()
    assert "DAYBOOK__SCHEDULES" in str(refused.value)


def test_flow_without_a_schedule_is_named():
    with pytest.raises(ValueError, match=r"no flow 'nightly'.*daily, macro"):
        schedules.schedules({"nightly": "0 0 * * * UTC"})


def test_leap_day_is_a_day_that_comes():
    assert schedules.schedules({"daily": "0 0 29 2 * UTC"})["daily"] == schedules.Schedule("0 0 29 2 *", "UTC")


@pytest.mark.parametrize("month", [1, 7], ids=["winter", "summer"])
def test_macro_run_starts_after_the_releases_and_nobody_writes_when_the_lake_is_maintained(month):
    """New York changes its clocks and Shanghai does not."""
    begun = datetime(2026, month, 5, tzinfo=ZoneInfo("Asia/Shanghai"))
    macro, maintain = (schedules.USUAL[name] for name in ("macro", "maintain"))

    at = next(cronsim.CronSim(macro.cron, begun.astimezone(ZoneInfo(macro.timezone))))
    after = next(cronsim.CronSim(maintain.cron, at.astimezone(ZoneInfo(maintain.timezone))))

    assert (at.hour, at.minute) == (10, 30)
    assert (after - at).total_seconds() >= 3600


def test_file_that_a_wrong_value_stands_in_is_named(tmp_path):
    (tmp_path / ".env").write_text("DAYBOOK__MACRO_FACTORS=many\n")

    with pytest.raises(errors.ConfigError, match=r"DAYBOOK__MACRO_FACTORS in .*\.env: .*integer"):
        settings.read_settings()
