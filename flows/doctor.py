"""Is this installation able to do its work, and if not, what is missing?

Every line is a fact looked at now: versions, extensions, folders, the clock, the vendors. Secrets are only said to be
present or not.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import socket
import sys
import urllib.parse
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import SecretStr

from flows import clock, settings
from warehouse import errors, extensions, lake

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
MOST_CLOCK_DRIFT_DAYS = 1
CONNECT_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Fact:
    """One thing looked at.

    Args:
        topic: what.
        found: how it is.
        is_good: False when something must be done, None when it is only information.
        advice: what to do, empty when good.
    """

    topic: str
    found: str
    is_good: bool | None
    advice: str = ""


def examine(options: settings.Settings) -> list[Fact]:
    """Every fact about this installation, in the order a person would look."""
    return [
        Fact("Daybook", settings.code_version(), None),
        Fact("Python", sys.version.split()[0], (3, 11) <= sys.version_info[:2] <= (3, 13), "Use Python 3.11 to 3.13."),
        *(_library(name) for name in LIBRARIES),
        *(_extension(name) for name in EXTENSIONS),
        _home(options),
        _lake(options),
        _clock(options),
        _secret("TUSHARE_TOKEN", options.tushare_token, "without it only the macro half runs"),
        _secret("FRED_API_KEY", options.fred_api_key, "without it vintages are those Daybook saw itself"),
        Fact("alert channels", str(len(options.alert_channels)) if options.alert_channels else "none", None),
        _reachable("FRED", options.fred_url),
        _reachable("Tushare", options.tushare_url),
    ]


def effective_settings(options: settings.Settings) -> list[tuple[str, str, str]]:
    """Each setting's variable, value (secrets masked) and origin."""
    return [
        (
            CUSTOMARY_NAMES.get(name, settings.PREFIX + name.upper()),
            settings.masked(getattr(options, name)),
            settings.origin_of(options, name),
        )
        for name in type(options).model_fields
    ]


def environment_template() -> str:
    """Every variable with its meaning and default, ready for a `.env` file."""
    lines = []
    for name, field in settings.Settings.model_fields.items():
        variable = CUSTOMARY_NAMES.get(name, settings.PREFIX + name.upper())
        default = "" if field.default is None or field.default == () else field.default
        if isinstance(default, tuple):
            default = "[" + ", ".join(f'"{one}"' for one in default) + "]"
        lines.append(f"# {field.description}\n#{variable}={default}\n")
    return "\n".join(lines)


def _library(name: str) -> Fact:
    try:
        return Fact(name, importlib.metadata.version(name), True)
    except importlib.metadata.PackageNotFoundError:
        return Fact(name, "not installed", False, "Install Daybook again from deploy/requirements.lock.")


def _extension(name: str) -> Fact:
    try:
        extensions.try_extension(name)
    except errors.ConfigError as exc:
        return Fact(f"extension {name}", "not loaded", False, str(exc))
    return Fact(f"extension {name}", "loads", True)


def _home(options: settings.Settings) -> Fact:
    root = options.root
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    found = f"{root}, {free / 1024**3:.1f} GiB free"
    return Fact("home", found, free >= LEAST_FREE_BYTES, "Free some space, or set DAYBOOK__HOME to a larger disk.")


def _lake(options: settings.Settings) -> Fact:
    try:
        if not options.lake.exists:
            return Fact("lake", "none yet", None)
        with lake.open_reader(options.lake) as opened:
            n_rows = opened.read_value("select count(*) from market.daily")
            return Fact("lake", f"snapshot {opened.snapshot}, {n_rows:,} bars", True)
    except errors.DaybookError as exc:
        return Fact("lake", "cannot be opened", False, str(exc))


def _clock(options: settings.Settings) -> Fact:
    try:
        now = clock.read_now(options.clock_url)
    except errors.ConfigError as exc:
        return Fact("clock", "cannot be read", False, str(exc))
    shown = f"{now.astimezone(clock.SHANGHAI):%Y-%m-%d %H:%M} in Shanghai, newest published {clock.market_date(now)}"
    is_simulated = bool(options.clock_url)
    drift = abs((now - datetime.now(UTC)).days)
    advice = "Set this machine's clock." if not is_simulated else ""
    return Fact(
        "clock",
        shown + (" (simulated)" if is_simulated else ""),
        is_simulated or drift <= MOST_CLOCK_DRIFT_DAYS,
        advice,
    )


def _secret(variable: str, secret: SecretStr | None, otherwise: str) -> Fact:
    is_present = secret is not None and bool(secret.get_secret_value())
    return Fact(variable, "present" if is_present else f"not set: {otherwise}", None)


def _reachable(name: str, url: str) -> Fact:
    parts = urllib.parse.urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 80)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=CONNECT_TIMEOUT_S):
            return Fact(name, f"{parts.hostname}:{port} answers", True)
    except OSError as exc:
        advice = f"Check the network, or the address {url}."
        return Fact(name, f"{parts.hostname}:{port} does not answer ({type(exc).__name__})", False, advice)
