"""Where does a fitted model stay between the refit and the next day's scoring?

One folder per version: `card.json` (what the caller says about the version, the model's class, a hash per file) and
the files of the model: arrays as Parquet, a network as `.keras`. Invariants: a version is there whole or not at all;
the same model with the same card gives the same bytes; nothing is loaded that the card does not vouch for, no pickle.
Partner: `warehouse/tables/model.py`, whose `model_version` row holds the digest that `save` returns.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import tempfile
from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

import models
from models import base

log = logging.getLogger(__name__)

CARD_FILE = "card.json"

# What the registry itself writes into a card.
CLASS, FILES, VERSION = "class", "files", "model_version"

# Words joined by slashes; no word starts with a dot, so a version cannot climb out of its folder.
VERSION_PATTERN = re.compile(r"\w[\w.\-]*(/\w[\w.\-]*)*", re.ASCII)


class UnknownVersion(base.ModelError):
    """No such version is kept, or it cannot have this name."""


def save(
    folder: Path, model_version: str, model: Any, card: Mapping[str, Any], *, plugins: Collection[str] = ()
) -> str:
    """The version's digest, once its files are in place.

    The files are written beside their place and moved there whole. A version that exists is replaced; one that is the
    same stays untouched. Only a death between the two renames of a replacement leaves no version, and fitting again
    brings it back.

    Args:
        folder: the registry; made when absent.
        model_version: such as `mlp/2026-11-20`; kept in the folder `mlp@2026-11-20`.
        model: fitted, of a class listed in `models/__init__.py`; with `save`, or else with `state`.
        card: what to remember about it: JSON values, dates and numpy scalars.
        plugins: classes outside this project that may be kept too.

    Returns:
        SHA-256 of `card.json`, which holds the hash of every other file. No instant enters unless the card has one.

    Raises:
        ModelError: a name, class or card that cannot be kept, or a model not fitted; the message names what to change.
    """
    target = _place(folder, model_version)
    model_class = f"{type(model).__module__}:{type(model).__qualname__}"
    models.find_class(model_class, plugins=plugins)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".saving-", dir=folder))
    try:
        if hasattr(model, "save"):
            model.save(temporary)
        else:
            base.write_arrays(temporary / base.ARRAYS_FILE, model.state())
        files = {path.name: _sha256(path) for path in sorted(temporary.iterdir())}
        own = {VERSION: model_version, CLASS: model_class, FILES: files}
        (temporary / CARD_FILE).write_bytes(_card_bytes(model_version, card, own))
        digest = _sha256(temporary / CARD_FILE)
        if not _is_intact(target, digest):
            _put_in_place(temporary, target)
            log.info("saved model_version=%s files_sha256=%s", model_version, digest)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return digest


def load(folder: Path, model_version: str, *, files_sha256: str | None = None, plugins: Collection[str] = ()) -> Any:
    """The fitted model of a version, every file checked against the card first.

    Args:
        folder: the registry.
        model_version: as given to `save`.
        files_sha256: what `save` returned; when given, the card must be that very one.
        plugins: classes outside this project that may be loaded too.

    Returns:
        The model; it predicts or scores as it did when it was saved.

    Raises:
        UnknownVersion: it is not kept here; fit it, or choose one of those named.
        BrokenFiles: a file is absent, changed or not readable; fit and save the version again.
        ValueError: its class is not listed in `models/__init__.py`.
    """
    target, card = _place(folder, model_version), check(folder, model_version, files_sha256=files_sha256)
    model_class = models.find_class(card[CLASS], plugins=plugins)
    if hasattr(model_class, "load"):
        return model_class.load(target)
    return model_class.from_state(base.read_arrays(target / base.ARRAYS_FILE))


def check(folder: Path, model_version: str, *, files_sha256: str | None = None) -> dict[str, Any]:
    """The card of a version whose every file is as it was saved.

    Args:
        folder: the registry.
        model_version: as given to `save`.
        files_sha256: what `save` returned; when given, the card must be that very one.

    Returns:
        The card, as `read_card` gives it.

    Raises:
        UnknownVersion: it is not kept here; fit it, or choose one of those named.
        BrokenFiles: a file is absent or changed; fit and save the version again.
    """
    target, card = _place(folder, model_version), read_card(folder, model_version)
    if files_sha256 is not None and files_sha256 != (found := _sha256(target / CARD_FILE)):
        raise base.BrokenFiles(
            f"{target / CARD_FILE}, the card of {model_version}, has SHA-256 {found}, the lake's row says "
            f"{files_sha256}. "
            "Fit and save the version again."
        )
    _check_files(target, card)
    return card


def read_card(folder: Path, model_version: str) -> dict[str, Any]:
    """What was said about a version when it was saved, and its `class` and `files`.

    Returns:
        The card; dates as ISO text.

    Raises:
        UnknownVersion: it is not kept here; fit it, or choose one of those named.
        BrokenFiles: the card is not readable or of another version; fit and save the version again.
    """
    path = _place(folder, model_version) / CARD_FILE
    if not path.is_file():
        raise UnknownVersion(
            f"{model_version} is not in the registry {folder}, which keeps {list_versions(folder)[-5:]}. Fit it first."
        )
    try:
        card = json.loads(path.read_bytes())
    except ValueError as exc:
        raise base.BrokenFiles(f"{path} is not JSON: {exc}. Fit and save {model_version} again.") from exc
    if not isinstance(card, dict) or card.get(VERSION) != model_version or not {CLASS, FILES} <= set(card):
        raise base.BrokenFiles(f"{path} is not the card of {model_version}. Fit and save the version again.")
    return card


def list_versions(folder: Path) -> list[str]:
    """Every version kept in a registry.

    Returns:
        Names in ascending order; none for a folder that does not exist.
    """
    return sorted(path.parent.name.replace("@", "/") for path in folder.glob(f"[!.]*/{CARD_FILE}"))


def _place(folder: Path, model_version: str) -> Path:
    if not VERSION_PATTERN.fullmatch(model_version):
        raise UnknownVersion(
            f"{model_version!r} cannot name a model version. Use letters, digits, dots and dashes, words joined by /."
        )
    return folder / model_version.replace("/", "@")


def _card_bytes(model_version: str, card: Mapping[str, Any], own: Mapping[str, Any]) -> bytes:
    clash = [name for name in own if name in card and card[name] != own[name]]
    if clash:
        raise base.ModelError(f"the card of {model_version} says {clash} itself. Leave that to the registry.")
    try:
        text = json.dumps(
            {**card, **own}, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False, default=_plain
        )
    except (TypeError, ValueError) as exc:
        raise base.ModelError(
            f"the card of {model_version} cannot be written as JSON: {exc}. Use finite numbers, text, lists and dates."
        ) from exc
    return text.encode() + b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} {value!r} has no JSON form")


def _check_files(target: Path, card: Mapping[str, Any]) -> None:
    for name, expected in card[FILES].items():
        path = target / name
        found = _sha256(path) if path.is_file() else "no file"
        if found != expected:
            raise base.BrokenFiles(
                f"{path} has SHA-256 {found}, the card of {card[VERSION]} says {expected}. "
                "Restore the file, or fit and save the version again."
            )
    strangers = sorted({path.name for path in target.iterdir()} - {CARD_FILE, *card[FILES]})
    if strangers:
        raise base.BrokenFiles(f"{target} holds {strangers}, of which its card knows nothing. Remove them.")


def _is_intact(target: Path, digest: str) -> bool:
    if not (target / CARD_FILE).is_file() or _sha256(target / CARD_FILE) != digest:
        return False
    files = json.loads((target / CARD_FILE).read_bytes())[FILES]
    return all((target / name).is_file() and _sha256(target / name) == expected for name, expected in files.items())


def _put_in_place(temporary: Path, target: Path) -> None:
    # mkdtemp makes folders that only their owner may enter; a version is read by whoever may read the registry.
    temporary.chmod(target.parent.stat().st_mode & 0o777)
    if not target.exists():
        temporary.rename(target)
        return
    replaced = temporary.with_name(temporary.name.replace(".saving-", ".replaced-"))
    target.rename(replaced)
    temporary.rename(target)
    shutil.rmtree(replaced)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
