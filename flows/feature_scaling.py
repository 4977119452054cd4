"""From features as they are stored to what models read: which of them, on which scale, with or without industry.

Invariant: a version forecasts from the features it was fitted on, scaled as they were then, whatever the settings say
now and however many features there are; both stand in the card beside its files. Partners: `models/cross_section.py`,
which has the arithmetic, and `flows/forecasts.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.settings import Settings
from models import base, cross_section
from warehouse import panels
from warehouse.lake import Lake
from warehouse.panels import FeatureRows
from warehouse.tables import feature, feature_list

Floats = npt.NDArray[np.float64]

RANK, ZSCORE = "rank", "zscore"


@dataclass(frozen=True)
class Scaling:
    """What is done to features before a model sees them.

    Args:
        names: columns of feature.feature, in the order in which the model has them.
        scale: `rank` within the date, or `zscore`: winsorised, less the date's mean, over its deviation.
        is_neutralised: whether industry and size are taken out first, each day.
    """

    names: tuple[str, ...] = feature.FEATURE_NAMES
    scale: str = RANK
    is_neutralised: bool = False

    @property
    def card(self) -> dict[str, Any]:
        """What a version's card says of it."""
        return {"features": list(self.names), "scale": self.scale, "is_neutralised": self.is_neutralised}


def of_settings(settings: Settings, rows: FeatureRows) -> Scaling:
    """As it is set, for the features of which these rows have any value."""
    has_any = [bool(known.any()) for known in np.isfinite(rows.features).T]
    names = tuple(name for name, known in zip(feature.FEATURE_NAMES, has_any, strict=True) if known)
    return Scaling(names, settings.feature_scale, settings.feature_neutralise)


def of_card(card: Mapping[str, Any]) -> Scaling:
    """As it was when the version was fitted; before that was written down there were eight features, ranked.

    Raises:
        BrokenFiles: the version wants a feature that is no longer computed; fit it again.
    """
    names = tuple(card.get("features", feature_list.names_of(feature_list.FIRST_FEATURES)))
    gone = sorted(set(names) - set(feature.FEATURE_NAMES))
    if gone:
        raise base.BrokenFiles(f"the card names features {gone}, which are not computed. Fit the version again.")
    return Scaling(names, card.get("scale", RANK), bool(card.get("is_neutralised", False)))


def read_industries(lake: Lake, as_of: date, scaling: Scaling) -> Mapping[str, str]:
    """Industry by security as it was known on a day, where it is wanted; nothing otherwise.

    Raises:
        LakeError: the lake cannot be read.
    """
    return panels.read_industries(lake, as_of) if scaling.is_neutralised else {}


def scaled(scaling: Scaling, rows: FeatureRows, industries: Mapping[str, str]) -> Floats:
    """What the model reads: (n_rows, n_names) without a missing value.

    Args:
        scaling: what is done.
        rows: features as they are stored.
        industries: of `read_industries`.
    """
    table = rows.features[:, [feature.FEATURE_NAMES.index(name) for name in scaling.names]]
    if scaling.is_neutralised or scaling.scale == ZSCORE:
        table = cross_section.winsorise_by_date(table, rows.dates)
    if scaling.is_neutralised:
        table = _neutralised(table, scaling, rows, industries)
    if scaling.scale == ZSCORE:
        return cross_section.zscore_by_date(table, rows.dates)
    return cross_section.standardise_by_date(table, rows.dates)


def _neutralised(table: Floats, scaling: Scaling, rows: FeatureRows, industries: Mapping[str, str]) -> Floats:
    """Size itself keeps what its industry does not tell: regressed on itself nothing would be left of it."""
    of_row = [industries.get(code, "") for code in rows.ts_code.tolist()]
    size = rows.features[:, feature.FEATURE_NAMES.index(feature_list.SIZE)]
    left = cross_section.neutralise_by_date(table, rows.dates, of_row, size)
    if feature_list.SIZE in scaling.names:
        at = scaling.names.index(feature_list.SIZE)
        left[:, at] = cross_section.neutralise_by_date(table[:, at], rows.dates, of_row)
    return left
