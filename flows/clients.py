"""The one place where a vendor's client is built: address, account and rates come from the settings.

A run asks patiently and keeps what came; who only wants to know whether a vendor answers asks once and keeps nothing.
Both spend the same allowance. Partners: `flows/steps.py`, `flows/probes.py`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pydantic

from flows import clock, settings
from warehouse import rate_budget
from warehouse.sources import fred, fred_api, http, limits, tushare


def patience(options: settings.Settings) -> http.Policy:
    """How patient a run is with a vendor; the rates are filled in where a client is built."""
    return http.Policy(attempts=options.vendor_attempts, source_deadline_s=options.vendor_deadline_s)


@dataclass(frozen=True)
class Clients:
    """Builds clients of the vendors.

    Args:
        options: the settings.
        keep: takes every answer.
        patience: how patient to be; its rates do not count, as the settings name those.
        is_counted: whether calls are counted together with those of others: of all processes of the home, or of all
            machines, where the lake's catalog is on a server that they share.
    """

    options: settings.Settings
    keep: http.Keep
    patience: http.Policy
    is_counted: bool = True

    def build_fred(self) -> fred.FredSource:
        """FRED's files, which anybody may ask for."""
        return fred.FredSource(
            base_url=self.options.fred_url,
            now=self._now,
            keep=self.keep,
            policy=self._fred_policy(),
            shared_limits=self._counted(self.options.fred_limits_file),
        )

    def build_fred_api(self) -> fred_api.FredApiSource | None:
        """FRED's interface for accounts; None without FRED_API_KEY."""
        key = _told(self.options.fred_api_key)
        if not key:
            return None
        return fred_api.FredApiSource(
            key,
            base_url=self.options.fred_api_url,
            now=self._now,
            keep=self.keep,
            policy=self._fred_policy(),
            shared_limits=self._counted(self.options.fred_limits_file),
        )

    def build_tushare(self) -> tushare.TushareSource | None:
        """Tushare; None without TUSHARE_TOKEN.

        Raises:
            BadCredentials: the token is blank.
        """
        token = _told(self.options.tushare_token)
        if not token:
            return None
        return tushare.TushareSource(
            token,
            base_url=self.options.tushare_url,
            now=self._now,
            keep=self.keep,
            policy=dataclasses.replace(
                self.patience,
                calls=self.options.tushare_calls_per_minute,
                per_s=60.0,
                endpoint_limits={name: (calls, 60.0) for name, calls in self.options.tushare_api_limits.items()},
            ),
            shared_limits=self._counted(self.options.tushare_limits_file),
        )

    def _fred_policy(self) -> http.Policy:
        return dataclasses.replace(self.patience, calls=1, per_s=1 / self.options.fred_calls_per_second)

    def _now(self) -> datetime:
        return clock.read_now(self.options.clock_url)

    def _counted(self, file: Path) -> limits.Shared | None:
        if not self.is_counted:
            return None
        lake = self.options.lake
        return file if lake.catalog_file is not None else rate_budget.Budget(lake, file.stem)


def _told(secret: pydantic.SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
