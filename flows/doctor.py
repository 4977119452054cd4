"""Is this installation able to do its work, and if not, what is missing?

Every line is a fact looked at now: versions, extensions, folders, ports, the clock, the vendors. Secrets are tried, and
never shown. Partner: `flows/probes.py`, which tries what lies outside.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import sys

from packaging import requirements, utils

from flows import clock, listening, probes, routing, settings
from flows.probes import Fact
from reports import wording
from warehouse import errors, extensions, lake, tables

LIBRARIES = (
    "duckdb",
    "prefect",
    "pandas-datareader",
    "tushare",
    "pandas",
    "pyarrow",
    "numpy",
    "scikit-learn",
    "tensorflow",
    "apprise",
)
# Variables of settings that keep the name their vendor gave them.
CUSTOMARY_NAMES = {"tushare_token": "TUSHARE_TOKEN", "fred_api_key": "FRED_API_KEY"}
EXTENSIONS = ("ducklake", "sqlite_scanner", "postgres_scanner", "httpfs")
LEAST_FREE_BYTES = 2 * 1024**3


def examine(options: settings.Settings) -> list[Fact]:
    """Every fact about this installation, in the order a person would look."""
    return [
        Fact("Daybook", settings.code_version(), None),
        Fact("Python", sys.version.split()[0], (3, 11) <= sys.version_info[:2] <= (3, 13), "Use Python 3.11 to 3.13."),
        *_libraries(),
        *(_extension(name) for name in EXTENSIONS),
        _home(options),
        probes.folder("home's rights", options.root, "DAYBOOK__HOME"),
        _lake(options),
        _clock(options),
        *probes.vendors(options),
        *probes.ports(options),
        *probes.doors(options),
        Fact("alert channels", _channels(options), None),
        _template(options),
    ]


def effective_settings(options: settings.Settings) -> list[tuple[str, str, str]]:
    """Each setting's variable, value (secrets masked) and origin."""
    return [
        (
            CUSTOMARY_NAMES.get(name, settings.PREFIX + name.upper()),
            settings.masked(getattr(options, name)),
            settings.origin_of(options, name),
        )
        for name in _names()
    ]


def environment_template() -> str:
    """Every variable with its meaning and default, ready for a `.env` file."""
    lines = []
    for name in _names():
        field = settings.Settings.model_fields[name]
        variable = CUSTOMARY_NAMES.get(name, settings.PREFIX + name.upper())
        default = "" if field.default is None or field.default == () else field.default
        if isinstance(default, tuple):
            default = "[" + ", ".join(f'"{one}"' for one in default) + "]"
        lines.append(f"# {field.description}\n#{variable}={default}\n")
    return "\n".join(lines)


def _names() -> list[str]:
    """Every setting, those of ports and who may enter last."""
    return sorted(settings.Settings.model_fields, key=lambda name: name in listening.Listening.model_fields)


def _libraries() -> list[Fact]:
    """Whether what this version of Daybook asks for is what is installed: another version may schedule nothing."""
    wanted = {}
    for text in importlib.metadata.requires("daybook") or ():
        one = requirements.Requirement(text)
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            wanted[utils.canonicalize_name(one.name)] = one.specifier
    facts = []
    for name, specifier in sorted(wanted.items()):
        found = _version(name)
        is_good = bool(found) and specifier.contains(found, prereleases=True)
        if name in LIBRARIES or not is_good:
            told = found or "not installed"
            if found and not is_good:
                told = f"{found}, wanted is {specifier}"
            facts.append(Fact(name, told, is_good, "Install Daybook again from deploy/requirements.lock."))
    return facts


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _extension(name: str) -> Fact:
    try:
        extensions.try_extension(name)
    except errors.ConfigError as exc:
        return Fact(f"extension {name}", "not loaded", False, str(exc))
    return Fact(f"extension {name}", "loads", True)


def _home(options: settings.Settings) -> Fact:
    free = shutil.disk_usage(settings.existing_folder(options.root)).free
    found = f"{options.root}, {free / 1024**3:.1f} GiB free"
    return Fact("home", found, free >= LEAST_FREE_BYTES, "Free some space, or set DAYBOOK__HOME to a larger disk.")


def _channels(options: settings.Settings) -> str:
    """Each channel with what it takes."""
    routes = routing.named(options.alert_channels)
    return "; ".join(f"{name}: {route.describe()}" for name, route in routes.items()) or "none"


def _template(options: settings.Settings) -> Fact:
    fault = wording.Wording(options.alert_template).fault
    return Fact("alert template", options.alert_template or "the usual text", False if fault else None, fault)


def _lake(options: settings.Settings) -> Fact:
    try:
        if not options.lake.exists:
            return Fact("lake", "none yet", None)
        with lake.open_reader(options.lake) as opened:
            n_rows = opened.read_value("select count(*) from market.daily")
            version = int(opened.read_value("select value from ops.property where name = 'schema_version'") or 0)
            found = f"snapshot {opened.snapshot}, {n_rows:,} bars"
    except errors.DaybookError as exc:
        return Fact("lake", "cannot be opened", False, str(exc))
    if version < tables.SCHEMA_VERSION:
        found += f", of schema version {version}, this Daybook writes {tables.SCHEMA_VERSION}"
        return Fact("lake", found, False, "Back it up, then run `daybook maintain`, which raises it; nothing is lost.")
    return Fact("lake", found, True)


def _clock(options: settings.Settings) -> Fact:
    try:
        now = clock.read_now(options.clock_url)
    except errors.ConfigError as exc:
        return Fact("clock", "cannot be read", False, str(exc))
    shown = f"{now.astimezone(clock.SHANGHAI):%Y-%m-%d %H:%M} in Shanghai, newest published {clock.market_date(now)}"
    return Fact("clock", shown + (" (simulated)" if options.clock_url else ""), True)
