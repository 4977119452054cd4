"""`daybook factors`: published factors out of the published files, and a clear word about files it cannot use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flows import factor_files
from flows.factor_files import Wanted
from warehouse import errors, fredmd, macro_file

FRED_MD = Path("fredmd", "fred_md_2015-05_original.csv")
FRED_QD = Path("fredmd", "fred_qd_2020-04.csv")
REFERENCE = Path("reference", "terence_lim_fredmd_2015-05_fredqd_2020-04_factors.txt")


def published(folder: Path, which: str) -> tuple[int, float, list[float], list[list[str]]]:
    """Number of factors, total share, share of each and its ten top series, from the replication's printed output."""
    monthly, quarterly = (
        (folder / REFERENCE).read_text().split("FRED-MD monthly series:")[1].split("FRED-QD quarterly series:")
    )
    lines = (monthly if which == "M" else quarterly).splitlines()
    count, total = next(line for line in lines if line.startswith("factors")).split()[1:3]
    shares = [float(line.rpartition("=")[2]) for line in lines if line.startswith("Factor:")]
    tops: list[list[str]] = []
    for line in lines:
        if line.startswith("Factor:"):
            tops.append([])
        elif tops and line[:2] == "0.":
            tops[-1].append(line.split("  ", 1)[1].strip().split("  ")[0])
    return int(count), float(total), shares, tops


def sheet(n_rows: int = 80, n_series: int = 6, *, seed: int = 3) -> list[list[str]]:
    """A small file of FRED-MD form, as cells: one factor, codes 1 and 5, from January 2000."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(n_rows)
    growth = np.outer(common, rng.uniform(0.5, 1.5, n_series)) + 0.3 * rng.standard_normal((n_rows, n_series))
    levels = np.where(np.arange(n_series) % 2, 100 * np.exp(0.01 * growth.cumsum(axis=0)), growth)
    months = np.datetime64("2000-01", "M") + np.arange(n_rows)
    head = [["sasdate", *(f"S{n}" for n in range(n_series))], ["Transform:", *("15"[n % 2] for n in range(n_series))]]
    return head + [
        [f"{int(str(month)[5:])}/1/{str(month)[:4]}", *map(repr, row.tolist())]
        for month, row in zip(months, levels, strict=True)
    ]


def write(path: Path, cells: list[list[str]]) -> Path:
    path.write_text("\n".join(",".join(row) for row in cells) + "\n")
    return path


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", "factors", *map(str, words)], capture_output=True, text=True, check=False
    )


def test_command_reproduces_the_published_factors_when_given_fred_md_of_may_2015(
    tmp_path: Path, vendor_data: Path
) -> None:
    count, total, shares, tops = published(vendor_data, "M")

    done = run(vendor_data / FRED_MD, "--out", tmp_path, "--json")

    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    assert (facts["first"], facts["last"], facts["n_periods"], facts["n_series"]) == ("1960-03", "2014-12", 658, 134)
    assert facts["n_factors"] == count == 8
    assert facts["is_converged"]
    assert facts["explained_variance_ratio"] == pytest.approx(total, abs=0.0005)
    np.testing.assert_allclose([one["explained_variance_ratio"] for one in facts["factors"]], shares, atol=0.0005)
    # McCracken and Ng (2016), Table 1, lists the ten series of factor 1 in the same order.
    assert [top["series"] for top in facts["factors"][0]["top_series"]] == tops[0]
    assert facts["factors"][0]["name"] == "USGOOD/PAYEMS/MANEMP"


def test_estimate_reproduces_the_published_factors_when_given_fred_qd_of_april_2020(vendor_data: Path) -> None:
    count, total, shares, tops = published(vendor_data, "Q")

    found = factor_files.estimate_file(vendor_data / FRED_QD, Wanted())

    assert (str(found.months[0]), str(found.months[-1]), found.panel.shape) == ("1960-03", "2019-12", (240, 248))
    assert found.model.n_factors_ == count == 7
    assert found.model.is_converged_
    assert found.model.explained_variance_ratio_.sum() == pytest.approx(total, abs=0.0005)
    np.testing.assert_allclose(found.model.explained_variance_ratio_, shares, atol=0.0005)
    best = np.argsort(-found.model.marginal_r2_[:, 0])[:10]
    assert {found.names[at].removesuffix("x") for at in best} == set(tops[0])


def test_eigenvalue_ratio_finds_one_factor_in_fred_md(vendor_data: Path) -> None:
    """The first eigenvalue of this panel is more than twice the second, and no later drop is as steep."""
    found = factor_files.estimate_file(vendor_data / FRED_MD, Wanted(criterion="er"))

    assert found.model.n_factors_ == 1


@pytest.mark.exhaustive
def test_every_vintage_of_fred_md_has_factors(tmp_path: Path, vendor_data: Path) -> None:
    """None of the 271 needs an option, and what each gives is a share between the smallest and largest ever printed."""
    shares, codes = {}, {}
    for vintage in fredmd.read_vintages(vendor_data / "fredmd" / "fred_md_all_vintages.parquet"):
        names = [name.removeprefix(fredmd.ARCHIVE) for name in vintage.series]
        frame = pd.DataFrame(vintage.values, columns=names)
        frame.insert(0, "sasdate", [f"{day.month}/1/{day.year}" for day in vintage.dates.tolist()])
        # The archive has no codes of 2025-12; those of the vintage before it stand in.
        codes |= vintage.transform_codes
        code_row = ["Transform:", *(str(codes[name]) for name in vintage.series)]
        body = frame.to_csv(index=False).split("\n", 1)
        path = tmp_path / f"{vintage.name}.csv"
        path.write_text("\n".join([body[0], ",".join(code_row), body[1]]))

        found = factor_files.estimate_file(path, Wanted())

        assert found.model.is_converged_, vintage.name
        assert 3 <= found.model.n_factors_ <= 8, vintage.name
        shares[vintage.name] = float(found.model.explained_variance_ratio_[0])
    assert len(shares) == 271
    assert 0.12 < min(shares.values()) < max(shares.values()) < 0.25


def test_command_writes_four_tables_that_belong_together(tmp_path: Path) -> None:
    file = write(tmp_path / "2006-09.csv", sheet())

    done = run(file, "--k", 2, "--out", tmp_path / "new" / "out")

    assert done.returncode == 0, done.stderr
    assert "factors   2 as asked" in done.stdout
    read = {
        name: pd.read_csv(tmp_path / "new" / "out" / f"{name}.csv", index_col=0)
        for name in ("factors", "loadings", "mr2", "panel")
    }
    assert list(read["factors"].columns) == list(read["loadings"].columns) == ["F1", "F2"]
    assert read["factors"].index.name == "date" and read["factors"].index[0] == "2000-03-01"
    # The panel has no hole, so the factors are its standardised rows times the loadings.
    panel = read["panel"].to_numpy()
    standardised = (panel - panel.mean(axis=0)) / panel.std(axis=0, ddof=1)
    np.testing.assert_allclose(read["factors"], standardised @ read["loadings"].to_numpy(), atol=1e-10)
    level = pd.read_csv(file, skiprows=[1])["S1"].to_numpy()
    np.testing.assert_allclose(panel[:, 1], np.diff(np.log(level))[1:], atol=1e-12)


def test_command_writes_the_same_bytes_when_run_twice(tmp_path: Path) -> None:
    file = write(tmp_path / "file.csv", sheet())
    for name in ("one", "two"):
        factor_files.write_files(factor_files.estimate_file(file, Wanted(2)), tmp_path / name)

    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_quarters_are_told_from_months_when_a_factors_row_stands_above_the_codes(tmp_path: Path) -> None:
    cells = sheet(60)
    for number, row in enumerate(cells[2:]):
        row[0] = f"{(number % 4 + 1) * 3}/1/{2000 + number // 4}"
    cells.insert(1, ["factors", *"010101"])

    read = macro_file.read_macro_file(write(tmp_path / "qd.csv", cells))

    assert read.frequency == "Q"
    assert read.codes.tolist() == [1, 5, 1, 5, 1, 5]
    assert [str(month) for month in read.months[:3]] == ["2000-03", "2000-06", "2000-09"]


def replaced(column: int, row: slice, text: str) -> Any:
    def change(cells: list[list[str]]) -> list[list[str]]:
        for one in cells[2:][row]:
            one[column] = text
        return cells

    return change


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda cells: cells[1:], errors.ContractViolation, "line 1: the header is missing"),
        (lambda cells: [cells[0], *cells[2:]], errors.ContractViolation, "line 2: no row of transform codes"),
        (lambda cells: cells[:2], errors.ContractViolation, "line 2: no row of values"),
        (replaced(3, slice(None), "7.5"), errors.ModelRefused, r"series S2 \(78 values, code 1\) of 6"),
        (replaced(2, slice(1, None), ""), errors.ModelRefused, r"series S1 \(0 values, code 5\) of 6"),
        (replaced(3, slice(10, None), ""), None, ""),
        (replaced(3, slice(3, None), ""), errors.ModelRefused, r"series S2 \(1 values, code 1\) of 6"),
        (replaced(4, slice(5, 6), "inf"), errors.ContractViolation, "line 8: column S3 has the infinite value 'inf'"),
        (replaced(4, slice(5, 6), "1e999"), errors.ContractViolation, "line 8: column S3 has the infinite value"),
        (replaced(4, slice(5, 6), "n/a"), errors.ContractViolation, "line 8: column S3 has 'n/a', which is no number"),
        (replaced(0, slice(5, 6), "13/1/2000"), errors.ContractViolation, "line 8: '13/1/2000' is no date"),
        (replaced(0, slice(5, 6), "1/1/2000"), errors.ContractViolation, "line 8: 2000-01 follows 2000-05"),
        (lambda cells: cells[:8], errors.ModelRefused, "5 factors asked of 4 periods of 6 series"),
        (lambda cells: [*cells[:4], cells[4][:-1]], errors.ContractViolation, "line 5: 5 values for the 6 series"),
        (
            lambda cells: [cells[0], ["Transform:", *"159511"], *cells[2:]],
            errors.ContractViolation,
            "line 2: column S2 has transform code '9'",
        ),
        (
            lambda cells: [["sasdate", "A", "A", "B", "C", "D", "E"], *cells[1:]],
            errors.ContractViolation,
            "line 1: column A stands there twice",
        ),
    ],
)
def test_bad_file_is_one_error_that_names_file_and_column(
    tmp_path: Path, change: Any, kind: type[Exception] | None, message: str
) -> None:
    file = write(tmp_path / "bad.csv", change(sheet()))

    if kind is None:
        assert factor_files.estimate_file(file, Wanted(5)).model.n_factors_ == 5
    else:
        with pytest.raises(kind, match=message) as caught:
            factor_files.estimate_file(file, Wanted(5))
        assert str(file) in str(caught.value)


def test_missing_file_and_contradiction_are_told_in_one_line(tmp_path: Path) -> None:
    absent = run(tmp_path / "none.csv", "--out", tmp_path)
    both = run(tmp_path / "none.csv", "--k", 3, "--select", "er", "--out", tmp_path)

    assert absent.returncode == both.returncode == 10
    assert "none.csv cannot be read: No such file or directory" in absent.stderr
    assert "--k 3 and --select er contradict each other" in both.stderr
    assert len(absent.stderr.splitlines()) == len(both.stderr.splitlines()) == 1
