"""FRED's macro series, with the interval during which each value was the published one.

Intervals are closed, as in ALFRED; an open one ends 9999-12-31. Dates of knowledge are US Central's, FRED's own.
`observation` is what Daybook follows day by day; `archived_observation` is what files of whole vintages say, and has
series ids of its own, because FRED-MD's INDPRO is FRED's on one day a month, spliced and cleaned, and not FRED's.
"""

from __future__ import annotations

from warehouse.contracts import Column, RowRule, Table
from warehouse.tables.provenance import LOADED

SERIES = Table(
    schema="macro",
    name="series",
    grain=("series_id",),
    meaning="One row per FRED series that Daybook follows.",
    source="warehouse/seeds/fred_series.csv.",
    columns=(
        Column("series_id", "VARCHAR", "FRED's identifier."),
        Column("title", "VARCHAR", "What the series measures."),
        Column("unit", "VARCHAR", "Unit of the published value."),
        Column("frequency", "VARCHAR", "D daily, W weekly, M monthly, Q quarterly."),
        Column("transform_code", "INTEGER", "FRED-MD transform code, 1 to 7 (McCracken and Ng 2016)."),
        Column("publication_lag_days", "INTEGER", "Usual days from the end of the period to its first publication."),
        Column("group_name", "VARCHAR", "Block of the economy the series belongs to."),
        Column("is_in_macro_panel", "BOOLEAN", "Whether the series enters the macro factors."),
        Column("is_rolling_window", "BOOLEAN", "Whether FRED drops the oldest rows as new ones come."),
        Column("licence", "VARCHAR", "`public`, `citation` or `restricted` (third-party copyright)."),
    ),
)

OBSERVATION = Table(
    schema="macro",
    name="observation",
    grain=("series_id", "observation_date", "realtime_start"),
    meaning="One row per series, period and published value; a revision closes one row and opens the next.",
    source="FRED fredgraph.csv.",
    rules=(
        RowRule("interval_order", "realtime_start <= realtime_end", "the knowledge interval ends before it starts"),
    ),
    columns=(
        Column("series_id", "VARCHAR", "FRED's identifier."),
        Column("observation_date", "DATE", "First day of the period described."),
        Column(
            "value",
            "DOUBLE",
            "Published value; NULL when published as missing.",
            unit="see macro.series",
            nullable=True,
        ),
        Column("realtime_start", "DATE", "First day on which this value was the published one."),
        Column("realtime_end", "DATE", "Last such day; 9999-12-31 while it stands."),
        Column(
            "is_realtime_estimated",
            "BOOLEAN",
            "True when realtime_start is period end plus the usual publication lag, because Daybook had not yet been watching.",
        ),
        *LOADED,
    ),
)

RELEASE = Table(
    schema="macro",
    name="release",
    grain=("series_id", "observation_date"),
    meaning="One row per series and period seen to appear: when it was expected and when it was first seen.",
    source="Observed by Daybook's pulls.",
    columns=(
        Column("series_id", "VARCHAR", "FRED's identifier."),
        Column("observation_date", "DATE", "First day of the period described."),
        Column("expected_date", "DATE", "Period end plus the usual publication lag."),
        Column("first_seen_date", "DATE", "US Central day of the pull that first had it."),
    ),
)

ARCHIVED_OBSERVATION = Table(
    schema="macro",
    name="archived_observation",
    grain=("series_id", "observation_date", "realtime_start"),
    meaning="One row per series, period and value of the vintages that files hold; a cell that a vintage lacks is closed.",
    source="Files of whole vintages, such as FRED-MD's (McCracken and Ng 2016).",
    columns=(
        Column("series_id", "VARCHAR", "Name of the archive and of the column in its files, such as FREDMD:INDPRO."),
        Column("observation_date", "DATE", "First day of the period described."),
        Column("value", "DOUBLE", "Value; NULL where the vintage has a blank.", unit="see the archive", nullable=True),
        Column("realtime_start", "DATE", "Day of the first vintage in a row that has this value."),
        Column("realtime_end", "DATE", "Day before the first vintage that no longer has it; 9999-12-31 if none."),
        *LOADED,
    ),
)

VINTAGE = Table(
    schema="macro",
    name="vintage",
    grain=("series_id", "vintage_date"),
    meaning="One row per series and day whose vintage is known for certain, from FRED's own list or from a file.",
    source="FRED series/vintagedates, and files of whole vintages.",
    columns=(
        Column("series_id", "VARCHAR", "FRED's identifier, or an archive's such as FREDMD:INDPRO."),
        Column(
            "vintage_date", "DATE", "Day on which the vintage was published; of a monthly file, its month's last day."
        ),
        Column(
            "transform_code",
            "INTEGER",
            "FRED-MD transform code of the series in that vintage, 1 to 7; NULL where the vintage names none.",
            nullable=True,
        ),
    ),
)

REBASE = Table(
    schema="macro",
    name="rebase",
    grain=("series_id", "vintage_date", "kind"),
    meaning="One row per vintage in which a whole series moved to another base or unit, apart from ordinary revisions.",
    source="warehouse/rebases.py over the values, warehouse/series_facts.py over FRED's own words.",
    columns=(
        Column("series_id", "VARCHAR", "FRED's identifier, or an archive's such as FREDMD:INDPRO."),
        Column("vintage_date", "DATE", "Day from which the new base or unit stands."),
        Column("kind", "VARCHAR", "`level` when the values say so, else the fact that changed, such as `units`."),
        Column("ratio", "DOUBLE", "Median new over old value; NULL when only words changed.", unit="1", nullable=True),
        Column(
            "spread",
            "DOUBLE",
            "Log ratio's 90th less its 10th percentile: what was revised besides; NULL when only words changed.",
            unit="1",
            nullable=True,
        ),
        Column("n_common", "BIGINT", "Values that moved; NULL when only words changed.", nullable=True),
        Column(
            "first_observation_date",
            "DATE",
            "Oldest period that moved: values of older ones stayed at the old base. NULL when only words changed.",
            nullable=True,
        ),
        Column("old_text", "VARCHAR", "Fact before; NULL for kind `level`.", nullable=True),
        Column("new_text", "VARCHAR", "Fact since; NULL for kind `level`.", nullable=True),
    ),
)

SERIES_FACT = Table(
    schema="macro",
    name="series_fact",
    grain=("series_id", "fact_name", "realtime_start"),
    meaning="One row per series, fact and wording: what FRED says of the series, and since when.",
    source="FRED's API, /fred/series; none without a key.",
    rules=(RowRule("interval_order", "realtime_start <= realtime_end", "the interval ends before it starts"),),
    columns=(
        Column("series_id", "VARCHAR", "FRED's identifier."),
        Column("fact_name", "VARCHAR", "`title`, `units`, `frequency`, `seasonal_adjustment` or `last_updated`."),
        Column("value", "VARCHAR", "FRED's words."),
        Column("realtime_start", "DATE", "US Central day on which Daybook first saw this wording."),
        Column("realtime_end", "DATE", "Last day on which it stood; 9999-12-31 while it does."),
        *LOADED,
    ),
)
