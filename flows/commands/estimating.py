"""The commands that estimate from files, without a lake: factors and forecast-study.

Partners: `flows/factor_files.py`, `flows/macro_study.py`.
"""

from __future__ import annotations

import enum
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer


class Criterion(enum.StrEnum):
    """Which rule selects the number of factors: Bai and Ng's three, or Ahn and Horenstein's eigenvalue ratio."""

    pcp1 = "pcp1"
    pcp2 = "pcp2"
    pcp3 = "pcp3"
    er = "er"


def factors(
    file: Annotated[Path, typer.Argument(help="CSV of FRED-MD or FRED-QD form.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for factors.csv, loadings.csv, mr2.csv and panel.csv.")],
    k: Annotated[int | None, typer.Option("--k", min=1, help="Number of factors; default selected.")] = None,
    select: Annotated[Criterion | None, typer.Option("--select", help="Rule that selects it; default pcp2.")] = None,
    *,
    start: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m"], help="First month; default 1960-03.")
    ] = None,
    end: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m"], help="Last month; default the last with 99 % of the series."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the facts as JSON.")] = False,
) -> None:
    """Estimate the macro factors of a file, and write them as tables."""
    import json

    from flows import factor_files
    from flows.commands import terminal

    if k is not None and select is not None:
        raise terminal.config_error(f"--k {k} and --select {select} contradict each other. Give one of them.")
    wanted = factor_files.Wanted(
        k,
        (select or Criterion.pcp2).value,
        None if start is None else start.date(),
        None if end is None else end.date(),
    )
    found = factor_files.estimate_file(file, wanted)
    written = factor_files.write_files(found, out)
    facts = factor_files.facts(found, wanted)
    if as_json:
        print(json.dumps(facts | {"files": [str(path) for path in written]}, indent=2))
    else:
        _print_facts(facts)
        print("\n".join(str(path) for path in written))
    if not facts["is_converged"]:
        print(
            f"daybook: the completion of holes had not settled after {facts['n_em_steps']} EM steps; "
            "take the last digits with care, or leave out series with few values.",
            file=sys.stderr,
        )


def _print_facts(facts: dict[str, Any]) -> None:
    rule = f"selected by {facts['criterion']}" if facts["criterion"] else "as asked"
    print(f"sample    {facts['first']} to {facts['last']}, {facts['n_periods']} periods, {facts['n_series']} series")
    print(f"missing   {facts['n_missing']} values, {facts['n_outliers']} outliers removed from the whole file")
    print(f"factors   {facts['n_factors']} {rule}, {facts['n_em_steps']} EM steps")
    print(f"explained {facts['explained_variance_ratio']:.4f}")
    for one in facts["factors"]:
        print(f"\n{one['factor']:4} {one['explained_variance_ratio']:.4f}  {one['name']}")
        for top in one["top_series"]:
            print(f"     {top['marginal_r2']:.4f}  {top['series']}")
    if facts["factors"]:
        print()


def forecast_study(
    vintages: Annotated[Path, typer.Argument(help="FRED-MD vintages: a Parquet file of many, or a folder.")],
    file: Annotated[Path, typer.Option("--file", help="One FRED-MD file for the comparison with Table 4.")],
    out: Annotated[Path, typer.Option("--out", help="Markdown page to write.")],
) -> None:
    """Compare forecasts by a macro factor with autoregressions, on one file and in real time."""
    from flows import macro_study, macro_study_page
    from flows.commands import terminal

    with terminal.progress() as progress:
        on_file = macro_study.study_file(file, progress)
        in_real_time = macro_study.study_vintages(vintages, progress)
    page = macro_study_page.render(on_file, in_real_time, vintages=vintages.name, file=file.name)
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as exc:
        raise terminal.config_error(f"{out} cannot be written: {exc.strerror}. Name another file.") from exc
    print(out)
