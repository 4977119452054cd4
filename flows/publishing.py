"""What people get to read: the day's report.

The report is pinned to the snapshot that `ops.run` keeps for its day, so it can be built again, the same to the byte,
after the lake has moved on. Partner: `reports/site.py`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flows import browsers, routing, settings
from flows.context import Context
from reports import channels, desk, dictionary, mail, proof, proving, site, subject_pages
from reports.blocks import Section
from warehouse import checks, errors, furnishing, lake, outages, runs
from warehouse.tables import SCHEMA_VERSION

log = logging.getLogger(__name__)

# What a terminal shows at once.
MOST_DIFFERENCES = 20
LONGEST_SAID = 80


@dataclass(frozen=True)
class Published:
    """A day's page, the snapshot it reads, and why blocks of the desk are not on it, one sentence each."""

    page: Path
    snapshot: int
    problems: tuple[str, ...]


def publish(context: Context, as_of: date) -> Published:
    """The day's report, built from the lake as it is now; `publish_beside` builds the pages that it leads to.

    Raises:
        LakeError: the lake cannot be read or written.
        ConfigError: the reports' folder cannot be written.
    """
    with context.writer() as open_lake:
        snapshot = open_lake.snapshot
        runs.pin_snapshot(open_lake, context.run_id, snapshot)
    addresses = routing.addresses_of(context.settings.alert_channels)
    # Alerts that go by mail carry the day, where there is no address to lead to.
    with_mail = channels.has_mail(addresses) and not context.settings.report_url
    return _build_day(context, as_of, snapshot, with_index=True, with_mail=with_mail)


@contextlib.contextmanager
def pinned_lake(options: settings.Settings, snapshot: int, as_of: date) -> Iterator[lake.Lake]:
    """The lake as of a snapshot, for pages.

    One thread: several add up in another order each time, so that a page built again might differ in a last digit, and
    a page's hundred small questions cost twice the processor time (4.0 s and 2.4 s a day's page of 300 securities,
    measured 2026-11-22).

    Args:
        options: where the lake is.
        snapshot: which of its snapshots.
        as_of: day of the page, for messages.

    Raises:
        ConfigError: the snapshot lacks what this Daybook's pages read, because an older one wrote it.
        LakeError: the lake cannot be read.
    """
    with lake.open_reader(dataclasses.replace(options.lake, threads=1), snapshot=snapshot) as pinned:
        refuse_older(pinned, as_of)
        has_own_views = furnishing.has_own_views(pinned)
        try:
            yield pinned
        except errors.NotInLake as exc:
            if has_own_views:
                raise
            raise errors.ConfigError(
                f"the report of {as_of} reads snapshot {snapshot}, whose views another Daybook wrote; this one cannot "
                "build or verify it again. The page built then stays as it is."
            ) from exc


def publish_beside(context: Context, as_of: date, snapshot: int) -> int:
    """How many pages of securities, models, factors and alerts were written, with the dictionary and all lists.

    They show the newest day that was published: a run for an earlier day leaves them as they are.

    Raises:
        LakeError: the lake cannot be read.
        ConfigError: the reports' folder cannot be written.
    """
    with context.reader() as open_lake:
        newest = open_lake.read_value(
            "select max(as_of_date) from ops.run where flow = 'daily' and snapshot is not null"
        )
    if newest is not None and newest > as_of:
        return 0
    with pinned_lake(context.settings, snapshot, as_of) as pinned:
        dictionary.publish(pinned, context.settings.reports_path, as_of=as_of, code_version=settings.code_version())
        return subject_pages.publish(pinned, context.settings.reports_path, _maker(context, as_of), is_again=False)


def _maker(context: Context, as_of: date) -> subject_pages.Maker:
    return subject_pages.Maker(as_of, f"daily/{as_of}", settings.code_version(), up_colour=context.settings.up_colour)


@dataclass(frozen=True)
class Site:
    """What came of building the whole site again.

    Args:
        index: where to begin reading.
        n_days: days built.
        n_beside: pages built of securities, models, factors and alerts.
        left: why a day's page was left as it was, one sentence a day.
    """

    index: Path
    n_days: int
    n_beside: int
    left: tuple[str, ...]


def build_site(context: Context, progress: Callable[[str, int, int], None]) -> Site:
    """Every page built again from the lake: each day from its own snapshot, all others from that of the newest day.

    A day whose snapshot is gone, or was written by an older Daybook, keeps the page it has.

    Raises:
        ConfigError: no run has published yet, no day can be built, or the folder cannot be written.
        LakeError: the lake cannot be read.
    """
    with context.reader() as open_lake:
        published = open_lake.read(
            "select as_of_date, snapshot from ops.run where flow = 'daily' and snapshot is not null order by as_of_date"
        ).to_pylist()
    if not published:
        raise errors.ConfigError("no run has published a report yet, so there is no site. Run `daybook run` first.")
    left: list[str] = []
    for number, run in enumerate(published, start=1):
        try:
            rebuild(context, run["as_of_date"], run["snapshot"], with_index=False)
        except errors.ConfigError as exc:
            if len(left) + 1 == len(published):
                raise
            left.append(f"{run['as_of_date']} is left as it is: {exc}")
        progress("days", number, len(published))
    newest, folder = published[-1], context.settings.reports_path
    with pinned_lake(context.settings, newest["snapshot"], newest["as_of_date"]) as pinned:
        dictionary.publish(pinned, folder, as_of=newest["as_of_date"], code_version=settings.code_version())
        n_beside = subject_pages.publish(pinned, folder, _maker(context, newest["as_of_date"]), is_again=True)
    return Site(folder / "index.html", len(published) - len(left), n_beside, tuple(left))


def rebuild(context: Context, as_of: date, snapshot: int | None = None, *, with_index: bool = True) -> Path:
    """The path of a day's report, built again from the snapshot its run published.

    Args:
        context: the run.
        as_of: day of the report.
        snapshot: lake snapshot; None for the one `ops.run` keeps for the day.
        with_index: whether the index of all days is written too.

    Raises:
        ConfigError: no run has published that day, or one of an older Daybook did.
        LakeError: the lake cannot be read.
    """
    if snapshot is None:
        snapshot = _read_snapshot(context, f"daily/{as_of}")
    return _build_day(context, as_of, snapshot, with_index=with_index).page


def _build_day(context: Context, as_of: date, snapshot: int, *, with_index: bool, with_mail: bool = False) -> Published:
    run_id = f"daily/{as_of}"
    with pinned_lake(context.settings, snapshot, as_of) as pinned:
        own = desk.read(pinned, context.settings.blocks_path, as_of)
        path = site.publish_day(
            pinned,
            context.settings.reports_path,
            as_of=as_of,
            run_id=run_id,
            code_version=settings.code_version(),
            up_colour=context.settings.up_colour,
            with_index=with_index,
            own=own,
            mail=_mailer(context, as_of, snapshot) if with_mail else None,
        )
    for problem in own.problems:
        log.warning("block not shown as_of=%s reason=%s", as_of, problem)
    log.info("published as_of=%s snapshot=%s path=%s", as_of, snapshot, path)
    return Published(path, snapshot, own.problems)


def refuse_older(pinned: lake.Lake, as_of: date) -> None:
    """Nothing when a report can be built from a snapshot.

    Args:
        pinned: the lake at the snapshot.
        as_of: day of the report.

    Raises:
        ConfigError: the snapshot lacks what this Daybook's pages read.
    """
    version = int(pinned.read_value("select value from ops.property where name = 'schema_version'"))
    if version < SCHEMA_VERSION:
        raise errors.ConfigError(
            f"the report of {as_of} reads snapshot {pinned.snapshot}, which a Daybook of schema version {version} "
            "wrote; this one cannot build it again. The page built then stays as it is."
        )


def write_mail(context: Context, as_of: date) -> Path:
    """The path of a day's report as a mail, from the snapshot its run published.

    Raises:
        ConfigError: no run has published that day, or the folder cannot be written.
        LakeError: the lake cannot be read.
    """
    run_id = f"daily/{as_of}"
    with pinned_lake(context.settings, _read_snapshot(context, run_id), as_of) as pinned:
        sections = site.read_day(pinned, as_of, desk.read(pinned, context.settings.blocks_path, as_of))
    body = _mailer(context, as_of, pinned.snapshot)(sections)
    path = context.settings.reports_path / f"{as_of}{site.MAIL_SUFFIX}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    except OSError as exc:
        raise errors.ConfigError(f"{path} cannot be written: {exc.strerror}. Make the folder writable.") from exc
    return path


def _mailer(context: Context, as_of: date, snapshot: int) -> Callable[[Sequence[Section]], bytes]:
    """What makes a mail of a day's sections."""
    return functools.partial(
        mail.compose,
        trace={"run_id": f"daily/{as_of}", "snapshot": snapshot, "code_version": settings.code_version()},
        as_of=as_of,
        up_colour=context.settings.up_colour,
        page_url=context.settings.report_address(as_of),
    )


def write_pdf(context: Context, as_of: date) -> Path:
    """The path of a day's report as Chromium prints it.

    Raises:
        ConfigError: no run has published that day, or there is no Chromium here that prints.
        LakeError: the lake cannot be read.
    """
    return browsers.print_pdf(rebuild(context, as_of))


def read_figures(page: Path) -> str:
    """Every figure of a page by its name, with where it comes from, as JSON.

    Raises:
        ConfigError: the file is no page of a day.
    """
    try:
        held = proof.read_page(page.read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise errors.ConfigError(f"{page} cannot be read: {exc}. Give a page that Daybook built.") from exc
    return json.dumps({"trace": held.trace, "figures": held.listed}, ensure_ascii=False, indent=1)


def _read_snapshot(context: Context, run_id: str) -> int:
    with context.reader() as open_lake:
        return runs.read_snapshot(open_lake, run_id)


def prove(options: settings.Settings, path: Path) -> int:
    """How many figures of a page were recomputed from the snapshot it names, and found to be the same.

    Args:
        options: what is set.
        path: a page of a day, wherever it was sent.

    Raises:
        ConfigError: the file is no page of a day, or the lake no longer keeps the snapshot it names.
        ReportDiffers: a figure is another; the message names it.
        LakeError: the lake cannot be read.
    """
    try:
        text = path.read_text("utf-8")
        trace = proof.read_page(text).trace
        snapshot = int(trace["snapshot"])
        as_of = date.fromisoformat(str(trace["as_of"]))
    except OSError as exc:
        raise errors.ConfigError(f"{path} cannot be read: {exc.strerror}. Give the file of a report.") from exc
    except (ValueError, KeyError) as exc:
        raise errors.ConfigError(
            f"{path} cannot be checked: {exc}. Build it again with `daybook report --as-of DATE`, and compare."
        ) from exc
    if trace.get("kind") == site.INDEX:
        n_figures, differences = proving.prove_index(text, functools.partial(_read_facts, options, path.parent))
    else:
        with pinned_lake(options, snapshot, as_of) as pinned:
            n_figures, differences = proving.prove(
                text, pinned, code_version=settings.code_version(), blocks_folder=options.blocks_path
            )
    if differences:
        lines = [
            f"  {one.name}: the page says {_cut(one.found)}, the lake {_cut(one.expected)}"
            for one in differences[:MOST_DIFFERENCES]
        ]
        more = f"\n  and {len(differences) - len(lines)} more" if len(differences) > len(lines) else ""
        raise errors.ReportDiffers(
            f"{path} is not what snapshot {snapshot} says, in {len(differences)} places:\n"
            + "\n".join(lines)
            + f"{more}\nDo not rely on it; `daybook report --as-of {as_of}` builds the page again."
        )
    return n_figures


def _read_facts(options: settings.Settings, beside: Path, as_of: date, snapshot: int) -> dict[str, Any]:
    """A day's first screen from its snapshot; where that is gone, as it was written beside the page, which is told."""
    try:
        with pinned_lake(options, snapshot, as_of) as pinned:
            return site.read_facts(pinned, as_of, options.blocks_path)
    except errors.ConfigError as exc:
        try:
            facts: dict[str, Any] = json.loads((beside / f"{as_of}.json").read_text("utf-8"))
        except (OSError, ValueError):
            raise exc from None
        log.warning("not computed again as_of=%s, compared with the file beside it: %s", as_of, exc)
        return facts


def _cut(said: str) -> str:
    return repr(said if len(said) <= LONGEST_SAID else said[: LONGEST_SAID - 1] + "…") if said else "nothing"


def gaps(standing: pa.Table) -> pa.Table:
    """Those of the open alerts that say something expected is not there."""
    return standing.filter(pc.is_in(standing["rule"], pa.array([*checks.COMPLETENESS_RULES, outages.RULE])))


def refuse_gaps(as_of: date, standing: pa.Table, report: Path) -> None:
    """Nothing when the day is whole.

    Raises:
        PartialData: something expected is not there; raised after everything else was done, so that a run over missing
            data is never green.
    """
    missing = gaps(standing)
    if missing.num_rows:
        first = missing["title"][0].as_py()
        others = f", and {missing.num_rows - 1} more" if missing.num_rows > 1 else ""
        raise errors.PartialData(
            f"the run for {as_of} finished with gaps: {first}{others}. What was there is in the lake and in {report}; "
            "run `daybook run` again later, and see `daybook status`."
        )
