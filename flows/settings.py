"""What can be set, by whom, and where a value came from.

One frozen object, built once per command or flow run and never passed below `flows/`; rooms below get plain values.
Every variable is `DAYBOOK__` and the field's name; token and key also answer to the vendors' customary names.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal, NoReturn

import pydantic
import pydantic_settings
from pydantic import AliasChoices, Field, SecretStr

from flows import listening, routing, schedules
from models import MODELS
from warehouse import errors
from warehouse.sources import limits
from warehouse.storage import LakeLocation, S3Access, refuse_password
from warehouse.tables import ops

PREFIX = "DAYBOOK__"
Secret = listening.Secret


class Settings(listening.Listening):
    """Everything that can be set; the defaults run the demo. Of ports and who may enter: `flows/listening.py`."""

    model_config = pydantic_settings.SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    home: Path = Field(Path("~/.daybook"), description="Folder of everything Daybook keeps.")
    secrets_dir: Path | None = Field(
        None,
        description="Folder of secrets, a file each, named as its variable is, such as /run/secrets; set in the"
        " environment only.",
    )
    clock_url: str = Field("", description="Where to read the clock, for the simulator; empty for this machine's.")

    tushare_token: Secret = Field(
        None,
        validation_alias=AliasChoices("TUSHARE_TOKEN", PREFIX + "TUSHARE_TOKEN"),
        description="Tushare token; without it only the macro half runs.",
    )
    tushare_url: str = Field("http://api.waditu.com/dataapi", description="Base address of Tushare's API.")
    tushare_calls_per_minute: int = Field(200, gt=0, description="Calls a minute the account allows.")
    tushare_api_limits: dict[str, int] = Field(
        {}, description='Calls a minute of single endpoints, as JSON, such as {"stock_basic": 50}.'
    )
    revisit_days: tuple[int, ...] = Field(
        (1, 7), description="Calendar days after a session on which it is asked for again, as JSON, for corrections."
    )
    factor_histories_per_day: int = Field(
        20, ge=0, description="Securities whose history of factors is compared with the vendor's each day, in turn."
    )
    missing_bars_fraction: float = Field(
        ops.MISSING_FRACTION,
        ge=0,
        lt=1,
        description="Share of a session's expected bars that may be missing before it is partial.",
    )
    index_codes: tuple[str, ...] = Field(("000300.SH", "000001.SH"), description="Indices to follow.")
    fred_url: str = Field("https://fred.stlouisfed.org", description="Base address of FRED.")
    fred_api_key: Secret = Field(
        None,
        validation_alias=AliasChoices("FRED_API_KEY", PREFIX + "FRED_API_KEY"),
        description="Key of FRED's API; without it vintages are those Daybook saw itself.",
    )
    fred_api_url: str = Field("https://api.stlouisfed.org/fred", description="Base address of FRED's API.")
    fred_calls_per_second: float = Field(2.0, gt=0, description="FRED refuses more than 2 a second.")
    vendor_deadline_s: float = Field(900.0, gt=0, description="Seconds after which a vendor is given up for this run.")
    vendor_attempts: int = Field(4, ge=1, description="Tries per request before a partition counts as failed.")

    history_start: date | None = Field(None, description="First session of a lake's first run; default 400 days back.")
    lake_catalog: str = Field("", description="DuckLake catalog; default an SQLite file in the home.")
    lake_data_path: str = Field("", description="Folder or s3:// address of the Parquet files; default in the home.")
    lake_catalog_password: Secret = Field(None, description="PostgreSQL's password; or use ~/.pgpass.")
    lake_s3_endpoint: str = Field("", description="Host and port of S3-compatible storage; empty for Amazon's.")
    lake_s3_region: str = Field("", description="Region of the bucket, such as eu-central-1.")
    lake_s3_url_style: Literal["", "vhost", "path"] = Field("", description="`path` for most servers but Amazon's.")
    lake_s3_key_id: Secret = Field(None, description="Access key of the storage.")
    lake_s3_secret: Secret = Field(None, description="Secret of the access key.")
    lake_s3_use_ssl: bool = Field(True, description="Whether the storage is reached by HTTPS.")
    lake_memory_limit: str = Field("4GB", description="DuckDB's memory limit.")
    lake_threads: int | None = Field(None, ge=1, description="Threads DuckDB may use; unset, one a core.")
    lake_wait_s: float = Field(120.0, ge=0, description="Seconds to wait for another writer.")
    dask_scheduler: str = Field(
        "",
        pattern=r"^(local|(tcp|tls)://\S+:\d+)?$",
        description="Whose workers help with long computations: `local` for a process a core, or a Dask scheduler's"
        " address, such as tls://dask.example:8786; empty for nobody's.",
    )

    snapshot_retention_days: int = Field(30, ge=0, description="Days the lake can be read as of every commit.")
    report_retention_days: int = Field(3650, ge=0, description="Days the snapshots of published reports are kept.")

    macro_factors: int = Field(3, ge=1, le=8, description="Factors of the macro panel.")
    macro_targets: tuple[str, ...] = Field(
        ("INDPRO", "PAYEMS", "UNRATE", "CPIAUCSL"), description="Monthly series to forecast months ahead, as JSON."
    )
    macro_network: bool = Field(
        False, description="Whether an LSTM stands beside their linear forecasts; a refit then takes minutes more."
    )
    equity_sessions: int = Field(504, ge=60, description="Sessions in the equity factor panel.")
    equity_factors: int | None = Field(None, ge=1, le=20, description="Equity factors; default by Bai-Ng PCp2.")
    refit_days: int = Field(7, ge=1, description="Days after which a fitted version is refitted.")
    forecast_sessions: int = Field(1000, ge=60, description="Newest sessions the forecasts are trained on.")
    feature_scale: Literal["rank", "zscore"] = Field(
        "rank",
        description="Scale of features within a day: ranks, or z-scores of what was winsorised at five deviations.",
    )
    feature_neutralise: bool = Field(
        False, description="Whether industry and size are taken out of features, each day, before they are scaled."
    )
    forecast_folds: int = Field(3, ge=1, description="Walk-forward folds.")
    forecast_models: tuple[str, ...] = Field(
        ("zero", "ols", "elastic_net", "ridge", "boosting", "mlp"),
        description="Models to fit, as JSON, by their names in models/__init__.py; `zero` is always fitted.",
    )
    forecast_plugins: dict[str, str] = Field(
        {}, description='Models of your own, as JSON from name to class, such as {"desk": "desk_models.value:Value"}.'
    )
    seed_repeats: int = Field(
        2,
        ge=1,
        description="Seeds a model that draws random numbers is tried with on the last fold, its own among them.",
    )
    promotion_ic_t: float = Field(
        3.0,
        description="Smallest t of the rank IC for a promotion; with many models tried, 2 is chance"
        " (Harvey, Liu and Zhu 2016).",
    )
    promotion_p_value: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="Largest one-sided p value for a promotion; five challengers a week would pass 0.05 by chance"
        " four times a year each.",
    )
    promotion_fold_share: float = Field(
        0.5, ge=0, lt=1, description="A promotion needs more than this share of folds won: one good year is not skill."
    )
    live_sessions: int = Field(60, ge=1, description="Newest sessions a champion's published forecasts are judged on.")
    live_min_sessions: int = Field(
        20, ge=1, description="Fewest such sessions to demote by: with fewer, one bad week decides."
    )
    robust_z_threshold: float = Field(6.0, gt=0, description="Robust z of a daily return above which it is an alert.")
    market_alerts_per_day: int = Field(
        5, ge=0, description="Alerts about strange securities on a usual day; a stormy one has more, at most 20."
    )
    market_false_discovery_rate: float | None = Field(
        None, gt=0, lt=1, description="Share of these that may be false, instead of a number of them."
    )
    macro_alerts_per_week: int = Field(
        3, ge=0, description="Most alerts a week about macro releases that are unlike their series' own past."
    )
    seed: int = Field(20261120, ge=0, description="Seed of every random draw.")

    up_colour: Literal["red", "green"] = Field("red", description="Colour of a rise in the report.")
    desk_blocks: Path | None = Field(None, description="Folder of a desk's own blocks for the report, a file each.")
    alert_channels: tuple[routing.Route, ...] = Field(
        (),
        description='Apprise addresses as JSON, such as ["mailto://…"]; an object such as {"address": "jsons://…",'
        ' "least": "high"} for a channel that gets only alerts from that severity up: low, medium or high; with'
        ' "digest": "19:00" it gets one message a day at that time in Shanghai, and only high ones at once ("at_once":'
        ' "none" for none).',
    )
    report_url: str = Field(
        "",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="Address at which others reach the folder of reports, such as https://desk.example/daybook;"
        " messages lead there. Without one, mails carry the day's report.",
    )
    alert_messages_per_hour: int = Field(
        10, ge=1, description="Messages a channel may get within an hour; what is found beyond is told in the next one."
    )
    alert_quiet_hours: str = Field(
        "",
        pattern=r"^(([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d)?$",
        description="Hours in Shanghai, such as 22:00-07:30, in which only alerts of high severity are told; the others"
        " follow in one message.",
    )
    alert_template: str = Field(
        "", description="How a message writes an alert, such as `{severity} {subject}: {title}`; docs/alerts.md."
    )
    alerts_per_week: int | None = Field(
        None,
        ge=1,
        description="Alerts that a desk can look at in a week; more within seven days are an alert of their own."
        " Unset, no budget; `daybook alerts budget` says what would keep one.",
    )
    schedules: dict[str, str] = Field(
        {},
        description='Hours of single flows other than the usual, as JSON from flow to cron and zone, such as {"daily":'
        ' "0 18 * * 1-5 Asia/Shanghai"}; "never" for none.',
    )

    def __reduce__(self) -> NoReturn:
        # Prefect, Dask and multiprocessing pickle what they are handed, and a pickle shows what `SecretStr` hides.
        raise TypeError(
            "the settings hold secrets and are not carried elsewhere: build them where used, with read_settings()"
        )

    @pydantic.field_validator("forecast_models")
    @classmethod
    def _has_known_models(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Said before a run, not an hour into it."""
        unknown = sorted(set(value) - set(MODELS))
        if unknown:
            raise ValueError(f"there is no model {unknown}; choose from {sorted(MODELS)}, or name a plug-in's class")
        return value

    @pydantic.field_validator("alert_channels", mode="before")
    @classmethod
    def _has_routes(cls, value: object) -> tuple[routing.Route, ...]:
        """Read here, not by pydantic, whose errors would name keys of an element that is malformed."""
        return routing.read(value)

    @pydantic.field_validator("schedules")
    @classmethod
    def _fires(cls, value: dict[str, str]) -> dict[str, str]:
        """Said when the settings are read: a cron that never fires would be missed by nobody."""
        schedules.schedules(value)
        return value

    @pydantic.field_validator("lake_catalog")
    @classmethod
    def _holds_no_password(cls, value: str) -> str:
        """Refused before any command can list it."""
        return refuse_password(value)

    @property
    def root(self) -> Path:
        """The home with `~` resolved."""
        return self.home.expanduser().resolve()

    @property
    def lake(self) -> LakeLocation:
        """Where the lake lies."""
        access = S3Access(
            endpoint=self.lake_s3_endpoint,
            region=self.lake_s3_region,
            url_style=self.lake_s3_url_style,
            key_id=_revealed(self.lake_s3_key_id),
            secret=_revealed(self.lake_s3_secret),
            use_ssl=self.lake_s3_use_ssl,
        )
        return LakeLocation(
            self.root / "lake",
            catalog=self.lake_catalog,
            data_path=self.lake_data_path,
            memory_limit=self.lake_memory_limit,
            threads=self.lake_threads,
            catalog_password=_revealed(self.lake_catalog_password),
            s3=access,
        )

    @property
    def archive_path(self) -> Path:
        """Where vendors' answers are kept."""
        return self.root / "archive"

    @property
    def fred_limits_file(self) -> Path:
        """Where calls to FRED are counted, by both its clients in all runs of this home."""
        return limits.file_of(self.root / "limits", "fred", self.fred_url, self.fred_api_url)

    @property
    def tushare_limits_file(self) -> Path:
        """Where calls of the Tushare account are counted, and the limits it told are kept."""
        return limits.file_of(self.root / "limits", "tushare", self.tushare_url, _revealed(self.tushare_token))

    @property
    def models_path(self) -> Path:
        """Where fitted models are kept."""
        return self.root / "models"

    def report_address(self, as_of: date) -> str:
        """Where others read the page of a day, empty where they cannot."""
        return f"{self.report_url.rstrip('/')}/{as_of}.html" if self.report_url else ""

    @property
    def reports_path(self) -> Path:
        """Where reports are written."""
        return self.root / "reports"

    @property
    def blocks_path(self) -> Path | None:
        """Where a desk's own blocks lie, None without any."""
        return self.desk_blocks.expanduser().resolve() if self.desk_blocks else None

    @property
    def prefect_path(self) -> Path:
        """Where Prefect keeps its database."""
        return self.root / "prefect"


def read_settings(**overrides: Any) -> Settings:
    """The settings from environment and `.env`, with some given by the caller.

    Raises:
        ConfigError: a value does not fit; the message names the variable and never shows a secret.
    """
    try:
        found = Settings(**{"_secrets_dir": _secrets_folder()} | overrides)
    except pydantic.ValidationError as exc:
        problems = "; ".join(
            f"{variable}{_place(variable, overrides)}: {error['msg']}"
            for error in exc.errors()
            for variable in [f"{PREFIX}{'__'.join(str(part) for part in error['loc']).upper()}"]
        )
        raise errors.ConfigError(f"settings cannot be used: {problems}. Mend the variable, or unset it.") from None
    except pydantic_settings.SettingsError:
        raise errors.ConfigError(
            f"settings cannot be used: a {PREFIX} variable that holds a list is not valid JSON. "
            f'Write lists as {PREFIX}INDEX_CODES=["000300.SH"].'
        ) from None
    except OSError as exc:
        raise errors.ConfigError(
            f"the secret {exc.filename} cannot be read: {exc.strerror}. Let this user read it."
        ) from None
    if found.root.is_file():
        raise errors.ConfigError(f"the home {found.root} is a file. Name a folder with --home or {PREFIX}HOME.")
    return found


def _secrets_folder() -> str | None:
    """Where secrets lie as files, as container engines hand them over."""
    folder = os.environ.get(f"{PREFIX}SECRETS_DIR", "")
    if folder and not Path(folder).is_dir():
        raise errors.ConfigError(f"{PREFIX}SECRETS_DIR: there is no folder {folder}. Mount the secrets, or unset it.")
    return folder or None


def _place(variable: str, overrides: Mapping[str, Any]) -> str:
    """In which file a variable stands, as a message says it; nothing for one of the environment."""
    file = overrides.get("_env_file", Settings.model_config["env_file"])
    if variable in os.environ or not file:
        return ""
    held = pydantic_settings.DotEnvSettingsSource(Settings, env_file=file).env_vars
    return f" in {Path(file).resolve()}" if variable.lower() in held else ""


def origin_of(settings: Settings, name: str) -> str:
    """Where a field's value came from: `default`, or `set` by environment, file or caller."""
    return "set" if name in settings.model_fields_set else "default"


def masked(value: object) -> str:
    """The value as text, secrets as stars."""
    if isinstance(value, SecretStr):
        return "********"
    if isinstance(value, routing.Route):
        return f"******** ({value.describe()})"
    if isinstance(value, tuple):
        return "[" + ", ".join(masked(one) for one in value) + "]"
    return "-" if value is None else str(value)


def _revealed(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret is not None else ""


def existing_folder(path: Path) -> Path:
    """A folder, or the first above it that exists: where it will lie once it is made."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def code_version() -> str:
    """The installed version of Daybook."""
    return importlib.metadata.version("daybook")
