"""Files of fitted models: whole or absent, equal for equal models, refused when changed, and never code."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models import base, registry
from models.pca import FactorPCA
from models.regression import Ridge

VERSION = "ridge/2026-11-20"
CARD: dict[str, Any] = {"as_of_date": date(2026, 11, 20), "interval_radius": np.float64(0.05), "n_rows": np.int64(60)}


def fitted_ridge(seed: int = 0) -> Ridge:
    rng = np.random.default_rng(seed)
    features, dates = rng.standard_normal((60, 2)), np.repeat(np.datetime64("2026-01-01") + np.arange(20), 3)
    return Ridge().fit(features, features[:, 0] + rng.standard_normal(60), dates)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_save_puts_card_and_arrays_into_the_versions_folder(tmp_path: Path) -> None:
    registry.save(tmp_path, VERSION, fitted_ridge(), CARD)

    assert sorted(tree(tmp_path)) == ["ridge@2026-11-20/arrays.parquet", "ridge@2026-11-20/card.json"]
    text = (tmp_path / "ridge@2026-11-20" / "card.json").read_text()
    card = json.loads(text)
    assert list(card) == sorted(card)
    assert (card["as_of_date"], card["interval_radius"], card["n_rows"]) == ("2026-11-20", 0.05, 60)
    assert card["class"] == "models.regression:Ridge"


def test_arrays_are_plain_parquet_that_anyone_can_read(tmp_path: Path) -> None:
    model = fitted_ridge()
    registry.save(tmp_path, VERSION, model, CARD)

    table = pq.read_table(tmp_path / "ridge@2026-11-20" / "arrays.parquet")

    found = dict(zip(table["name"].to_pylist(), table["values"].to_pylist(), strict=True))
    assert found["estimates_"] == model.estimates_.tolist()
    assert table.schema.field("values").type == pa.list_(pa.float64())


def test_save_gives_the_same_bytes_when_the_same_model_is_saved_elsewhere(tmp_path: Path) -> None:
    first = registry.save(tmp_path / "a", VERSION, fitted_ridge(), CARD)
    second = registry.save(tmp_path / "b", VERSION, fitted_ridge(), dict(reversed(CARD.items())))

    assert first == second
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_save_gives_another_digest_when_a_coefficient_or_the_card_differs(tmp_path: Path) -> None:
    digests = [
        registry.save(tmp_path / "a", VERSION, fitted_ridge(), CARD),
        registry.save(tmp_path / "b", VERSION, fitted_ridge(seed=1), CARD),
        registry.save(tmp_path / "c", VERSION, fitted_ridge(), {**CARD, "interval_radius": 0.06}),
    ]

    assert len(set(digests)) == 3


def test_load_returns_a_factor_model_that_scores_the_same(tmp_path: Path) -> None:
    panel = np.random.default_rng(0).standard_normal((40, 6))
    model = FactorPCA(n_factors=2).fit(panel)
    registry.save(tmp_path, "equity_pca/2026-11-20", model, {})

    found = registry.load(tmp_path, "equity_pca/2026-11-20")

    assert isinstance(found, FactorPCA)
    assert found.score(panel).tobytes() == model.score(panel).tobytes()


def test_save_replaces_a_version_when_it_is_fitted_again(tmp_path: Path) -> None:
    registry.save(tmp_path, VERSION, fitted_ridge(), CARD)
    again = fitted_ridge(seed=1)

    digest = registry.save(tmp_path, VERSION, again, CARD)

    found = registry.load(tmp_path, VERSION, files_sha256=digest)
    np.testing.assert_array_equal(found.estimates_, again.estimates_)
    assert [path.name for path in tmp_path.iterdir()] == ["ridge@2026-11-20"]


def test_save_touches_nothing_when_the_version_is_there_already(tmp_path: Path) -> None:
    registry.save(tmp_path, VERSION, fitted_ridge(), CARD)
    before = (tmp_path / "ridge@2026-11-20").stat().st_ino

    registry.save(tmp_path, VERSION, fitted_ridge(), CARD)

    assert (tmp_path / "ridge@2026-11-20").stat().st_ino == before


def test_save_repairs_a_version_when_a_file_was_damaged(tmp_path: Path) -> None:
    registry.save(tmp_path, VERSION, fitted_ridge(), CARD)
    (tmp_path / "ridge@2026-11-20" / "arrays.parquet").write_bytes(b"damaged")

    registry.save(tmp_path, VERSION, fitted_ridge(), CARD)

    assert isinstance(registry.load(tmp_path, VERSION), Ridge)


def test_save_leaves_the_old_version_whole_when_it_fails(tmp_path: Path) -> None:
    registry.save(tmp_path, VERSION, fitted_ridge(), CARD)
    before = tree(tmp_path)

    with pytest.raises(base.NotFitted, match="not fitted"):
        registry.save(tmp_path, VERSION, Ridge(), CARD)

    assert tree(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["ridge@2026-11-20"]


@pytest.mark.parametrize("damage", ["changed", "absent", "unlisted"])
def test_load_refuses_when_files_are_not_those_of_the_card(tmp_path: Path, damage: str) -> None:
    registry.save(tmp_path, VERSION, fitted_ridge(), CARD)
    arrays = tmp_path / "ridge@2026-11-20" / "arrays.parquet"
    if damage == "changed":
        base.write_arrays(arrays, fitted_ridge(seed=1).state())
    elif damage == "absent":
        arrays.unlink()
    else:
        (arrays.parent / "mlp.keras").write_bytes(b"from elsewhere")

    with pytest.raises(base.BrokenFiles, match=r"arrays\.parquet has SHA-256 .* Restore|mlp\.keras.* Remove"):
        registry.load(tmp_path, VERSION)


def test_load_refuses_when_the_card_is_not_the_one_the_lake_knows(tmp_path: Path) -> None:
    digest = registry.save(tmp_path, VERSION, fitted_ridge(), CARD)
    registry.save(tmp_path, VERSION, fitted_ridge(), {**CARD, "interval_radius": 0.0001})

    with pytest.raises(base.BrokenFiles, match=rf"the lake's row says {digest}. Fit and save"):
        registry.load(tmp_path, VERSION, files_sha256=digest)


def test_load_imports_nothing_when_the_card_names_a_class_that_is_not_listed(tmp_path: Path) -> None:
    registry.save(tmp_path, VERSION, fitted_ridge(), CARD)
    path = tmp_path / "ridge@2026-11-20" / "card.json"
    path.write_text(path.read_text().replace("models.regression:Ridge", "antigravity:fly"))

    with pytest.raises(ValueError, match=r"'antigravity:fly' is not among the models listed"):
        registry.load(tmp_path, VERSION)


def test_load_refuses_a_card_copied_from_another_version(tmp_path: Path) -> None:
    registry.save(tmp_path, VERSION, fitted_ridge(), CARD)
    shutil.copytree(tmp_path / "ridge@2026-11-20", tmp_path / "ridge@2026-11-21")

    with pytest.raises(base.BrokenFiles, match="not the card of ridge/2026-11-21"):
        registry.load(tmp_path, "ridge/2026-11-21")


def test_load_names_what_is_kept_when_the_version_is_not(tmp_path: Path) -> None:
    registry.save(tmp_path, VERSION, fitted_ridge(), CARD)

    with pytest.raises(registry.UnknownVersion, match=r"mlp/2026-11-20 is not .*\['ridge/2026-11-20'\]\. Fit it first"):
        registry.load(tmp_path, "mlp/2026-11-20")


@pytest.mark.parametrize("name", ["../ridge", "ridge/../../etc", "/etc", "", "ridge/", "ridge@x", "a b", ".hidden"])
def test_save_refuses_a_version_that_is_no_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(registry.UnknownVersion, match="cannot name a model version"):
        registry.save(tmp_path / "registry", name, fitted_ridge(), CARD)


@pytest.mark.parametrize("value", [float("nan"), np.float64("inf"), object()])
def test_save_refuses_a_card_that_json_cannot_hold(tmp_path: Path, value: Any) -> None:
    with pytest.raises(base.ModelError, match=r"card of ridge/2026-11-20 cannot be written as JSON.* Use finite"):
        registry.save(tmp_path, VERSION, fitted_ridge(), {"value": value})

    assert list(tmp_path.iterdir()) == []


def test_save_refuses_a_model_that_is_not_listed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'builtins:object' is not among .* Add it there"):
        registry.save(tmp_path, VERSION, object(), CARD)


def test_list_versions_names_all_but_the_unfinished(tmp_path: Path) -> None:
    registry.save(tmp_path, VERSION, fitted_ridge(), CARD)
    registry.save(tmp_path, "ridge/2026-11-13", fitted_ridge(), CARD)
    shutil.copytree(tmp_path / "ridge@2026-11-20", tmp_path / ".saving-abc")

    assert registry.list_versions(tmp_path) == ["ridge/2026-11-13", "ridge/2026-11-20"]
    assert registry.list_versions(tmp_path / "nowhere") == []
