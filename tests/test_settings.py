"""Settings come typed from the environment, refuse nonsense in one line, and never show a secret."""

from __future__ import annotations

import copy
import json
import pickle

import cloudpickle
import pytest

from flows import doctor, settings
from warehouse import errors

TOKEN = "planted-secret-4711"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUSHARE_TOKEN", raising=False)


def test_settings_take_the_token_from_the_vendors_customary_variable(monkeypatch):
    monkeypatch.setenv("TUSHARE_TOKEN", TOKEN)

    options = settings.read_settings()

    assert options.tushare_token.get_secret_value() == TOKEN


def test_settings_show_no_secret_when_printed_or_listed(monkeypatch):
    monkeypatch.setenv("TUSHARE_TOKEN", TOKEN)
    monkeypatch.setenv("DAYBOOK__ALERT_CHANNELS", f'["json://localhost/{TOKEN}"]')

    options = settings.read_settings()
    shown = repr(options) + str(options) + str(doctor.effective_settings(options)) + options.model_dump_json()

    assert TOKEN not in shown


def test_settings_name_variable_and_reason_when_a_value_does_not_fit(monkeypatch):
    monkeypatch.setenv("DAYBOOK__MACRO_FACTORS", "many")

    with pytest.raises(errors.ConfigError, match=r"DAYBOOK__MACRO_FACTORS: .*integer.*Mend"):
        settings.read_settings()


def test_settings_refuse_a_home_that_is_a_file(tmp_path):
    (tmp_path / "home").touch()

    with pytest.raises(errors.ConfigError, match="is a file"):
        settings.read_settings(home=tmp_path / "home")


def test_settings_say_how_lists_are_written_when_one_is_not_json(monkeypatch):
    monkeypatch.setenv("DAYBOOK__INDEX_CODES", "000300.SH")

    with pytest.raises(errors.ConfigError, match="valid JSON"):
        settings.read_settings()


def test_environment_template_names_every_setting():
    template = doctor.environment_template()

    missing = [
        name
        for name in settings.Settings.model_fields
        if f"#DAYBOOK__{name.upper()}=" not in template and name not in ("tushare_token", "fred_api_key")
    ]
    assert missing == []
    assert "#TUSHARE_TOKEN=" in template and "#FRED_API_KEY=" in template


def test_every_setting_has_a_description():
    assert [name for name, field in settings.Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("carry", [pickle.dumps, cloudpickle.dumps, lambda own: cloudpickle.dumps(lambda: own)])
def test_settings_are_not_carried_elsewhere_with_their_secrets(carry):
    """What a flow, a Dask worker or a process pool is handed is pickled, and may be stored."""
    own = settings.read_settings(tushare_token=TOKEN)

    with pytest.raises(TypeError, match=r"settings hold secrets.*build them where used") as refused:
        carry(own)
    assert TOKEN not in str(refused.value)


def test_settings_can_be_copied_with_another_value():
    own = settings.read_settings(tushare_token=TOKEN)

    other = own.model_copy(update={"seed": 1})

    assert (other.seed, other.tushare_token) == (1, own.tushare_token)
    assert copy.copy(own) == own == copy.deepcopy(own)


def test_channels_are_addresses_or_objects_and_say_what_they_take(monkeypatch):
    pager = {"address": f"json://localhost/{TOKEN}", "least": "high"}
    monkeypatch.setenv("DAYBOOK__ALERT_CHANNELS", json.dumps([f"mailto://{TOKEN}@desk.example", pager]))

    options = settings.read_settings()

    (shown,) = [fact.found for fact in doctor.examine(options) if fact.topic == "alert channels"]
    assert shown == "mailto-1: all alerts; json-1: high alerts"
    listed = dict((variable, value) for variable, value, _ in doctor.effective_settings(options))
    assert listed["DAYBOOK__ALERT_CHANNELS"] == "[******** (all alerts), ******** (high alerts)]"
    assert TOKEN not in repr(options) + str(options) + options.model_dump_json()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:abc/api", "not an address such as"),
        ("http://127.0.0.1:70000/api", "not an address such as"),
        ("http://[::1/api", "not an address such as"),
        ("http:///api", "not an address such as"),
        ("ftp://prefect:4200/api", "not an address such as"),
        (f"http://desk:{TOKEN}@prefect:4200/api", "not an address such as"),
        ("http://prefect:4200/api/", "must end in /api"),
        ("http://prefect:4200", "must end in /api"),
    ],
)
def test_address_of_prefect_that_is_none_is_told_in_one_line(monkeypatch, address, words):
    monkeypatch.setenv("DAYBOOK__PREFECT_API_URL", address)

    with pytest.raises(errors.ConfigError, match="DAYBOOK__PREFECT_API_URL: ") as caught:
        settings.read_settings(_env_file=None)

    said = str(caught.value)
    assert words in said and "\n" not in said and TOKEN not in said


@pytest.mark.parametrize("address", ["", "http://prefect:4200/api", "https://[::1]/desk/api"])
def test_address_of_prefect_is_taken_as_it_is(monkeypatch, address):
    monkeypatch.setenv("DAYBOOK__PREFECT_API_URL", address)

    assert settings.read_settings(_env_file=None).prefect_api_url == address


@pytest.mark.parametrize("host", ["", "localhost", "::1", "example.com", "192.0.2.1"])
def test_server_listens_on_loopback_or_everywhere_and_nowhere_else(monkeypatch, host):
    monkeypatch.setenv("DAYBOOK__SERVE_HOST", host)

    with pytest.raises(errors.ConfigError, match=r"DAYBOOK__SERVE_HOST: .*'127\.0\.0\.1' or '0\.0\.0\.0'"):
        settings.read_settings(_env_file=None)


@pytest.mark.parametrize(
    "variable", ["TUSHARE_TOKEN", "FRED_API_KEY", "DAYBOOK__LAKE_CATALOG_PASSWORD", "DAYBOOK__REPORTS_AUTH"]
)
@pytest.mark.parametrize("is_file", [True, False], ids=["file", "variable"])
def test_empty_secret_is_none(monkeypatch, tmp_path, variable, is_file):
    monkeypatch.delenv(variable, raising=False)
    if is_file:
        (tmp_path / variable.lower()).write_text("\n")
        monkeypatch.setenv("DAYBOOK__SECRETS_DIR", str(tmp_path))
    else:
        monkeypatch.setenv(variable, "")

    options = settings.read_settings(_env_file=None)

    assert getattr(options, variable.lower().removeprefix("daybook__")) is None


@pytest.mark.parametrize("variable", ["DAYBOOK__PREFECT_AUTH", "DAYBOOK__REPORTS_AUTH"])
@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        (TOKEN, "must be user:password"),
        (f":{TOKEN}", "must be user:password"),
        ("desk:", "must be user:password"),
        (f"desk:{TOKEN} and more", "without spaces"),
        (f"desk:é{TOKEN}", "in ASCII"),
        ("desk:elevenchars", "at least 12 characters"),
    ],
)
def test_credentials_of_another_form_are_named_and_not_shown(monkeypatch, variable, credentials, words):
    monkeypatch.setenv(variable, credentials)

    with pytest.raises(errors.ConfigError, match=f"{variable}: ") as caught:
        settings.read_settings(_env_file=None)

    said = str(caught.value)
    assert words in said and "\n" not in said and not any(one in said for one in (TOKEN, "elevenchars", "desk:e"))


def test_credentials_are_handed_to_who_needs_them_and_to_nobody_else(monkeypatch):
    monkeypatch.setenv("DAYBOOK__PREFECT_AUTH", f"desk:{TOKEN}:with-a-colon")

    options = settings.read_settings(_env_file=None)

    auth = f"desk:{TOKEN}:with-a-colon"
    assert options.prefect_secrets == {"PREFECT_SERVER_API_AUTH_STRING": auth}
    assert options.prefect_access == {"PREFECT_API_URL": options.prefect_api, "PREFECT_API_AUTH_STRING": auth}
    assert TOKEN not in repr(options) + settings.masked(options.prefect_auth)


MALFORMED = {
    "no object": (7, "neither an address nor an object"),
    "list": ([TOKEN], "neither an address nor an object"),
    "no address": ({"least": "high"}, "no text as `address`"),
    "address of another type": ({"address": [TOKEN]}, "no text as `address`"),
    "unknown severity": ({"address": "json://x", "least": TOKEN}, "a `least` that is none of high, medium, low"),
    "several severities": ({"address": "json://x", "least": [TOKEN]}, "a `least` that is none of high, medium, low"),
    "no time of day": ({"address": TOKEN, "digest": "25:30"}, "a `digest` that is no time of day"),
    "empty digest": ({"address": TOKEN, "digest": ""}, "a `digest` that is no time of day"),
    "at once what": (
        {"address": TOKEN, "digest": "19:00", "at_once": "low"},
        "an `at_once` that is none of high, none",
    ),
    "at once beside what": ({"address": TOKEN, "at_once": "none"}, "no `digest` with it"),
    "address as key": ({f"json://{TOKEN}": "high"}, "another key than address"),
    "misspelt key": ({"address": f"json://{TOKEN}", "lest": "high"}, "another key than address"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_channel_is_named_by_variable_and_place_and_not_repeated(monkeypatch, case):
    element, words = MALFORMED[case]
    monkeypatch.setenv("DAYBOOK__ALERT_CHANNELS", json.dumps(["json://localhost", element]))

    with pytest.raises(errors.ConfigError, match=r"DAYBOOK__ALERT_CHANNELS: .*element 2 ") as caught:
        settings.read_settings(_env_file=None)

    assert words in str(caught.value) and TOKEN not in str(caught.value)
