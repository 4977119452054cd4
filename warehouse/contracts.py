"""How a table is declared, and everything that follows from the declaration.

One declaration gives the DDL, the Arrow schema that rows must have on their way in, the comments an analyst sees in
the catalog, the audit of its key, and the data dictionary. Declarations live in `warehouse/tables/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from warehouse import errors

ARROW_TYPES: dict[str, pa.DataType] = {
    "VARCHAR": pa.string(),
    "DATE": pa.date32(),
    "DOUBLE": pa.float64(),
    "BIGINT": pa.int64(),
    "UBIGINT": pa.uint64(),
    "INTEGER": pa.int32(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its type, unit and meaning.

    Args:
        name: column name; a vendor table keeps the vendor's name.
        type: DuckDB type, one of `ARROW_TYPES`.
        meaning: one sentence for the analyst.
        unit: required for every DOUBLE; `"1"` for a dimensionless number.
        nullable: whether NULL is allowed; say in `meaning` what NULL means.
        provenance: True for columns that tell how a row came here (load, instant), not what it says. They are left
            out when two lakes are compared.
    """

    name: str
    type: str
    meaning: str
    unit: str | None = None
    nullable: bool = False
    provenance: bool = False


@dataclass(frozen=True, slots=True)
class RowRule:
    """A predicate every row must satisfy; a row that does not goes to `ops.quarantine`.

    Args:
        name: short name, stored with the quarantined row.
        predicate: SQL over the table's columns, true for a good row. NULL counts as good.
        reason: what is wrong with a row that fails, for the person who looks at it.
        severity: `reject` sets the row aside, `warn` lets it in and is a finding.
        action: what a person does about it.
    """

    name: str
    predicate: str
    reason: str
    severity: str = "reject"
    action: str = "Compare the row with another source; release it if it is right, else wait for the correction."


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the lake.

    Args:
        schema: lake schema.
        name: table name, singular noun of the grain; a vendor table keeps the endpoint's name.
        grain: columns that identify a row. DuckLake enforces no key, so the load audits it.
        columns: in order.
        meaning: one sentence for the analyst.
        source: where the rows come from.
        rules: row rules.
        is_provenance: True when the whole table only tells how things came about (requests made, runs).
        partition_by: expression by whose value rows go to files of their own; empty for none.
        sort_by: columns by which the rows of a file are sorted; empty for the order they were written in.
    """

    schema: str
    name: str
    grain: tuple[str, ...]
    columns: tuple[Column, ...]
    meaning: str
    source: str
    rules: tuple[RowRule, ...] = field(default=())
    is_provenance: bool = False
    partition_by: str = ""
    sort_by: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """`schema.name`."""
        return f"{self.schema}.{self.name}"

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def fact_names(self) -> tuple[str, ...]:
        """Names of the columns that say something about the world: provenance left out."""
        return tuple(column.name for column in self.columns if not column.provenance)

    @property
    def facts_digest(self) -> str:
        """The SQL of an order-free digest of the facts of some rows; see `digest_of`."""
        return digest_of(self.fact_names)

    @property
    def arrow_schema(self) -> pa.Schema:
        """The Arrow schema rows must have before they are written."""
        return pa.schema(
            [pa.field(column.name, ARROW_TYPES[column.type], nullable=column.nullable) for column in self.columns]
        )

    @property
    def digest_sql(self) -> str:
        """SQL for the digest of one row's facts; the exclusive or over rows is the content hash of the ledger."""
        return _row_digest(self.fact_names)

    def column(self, name: str) -> Column:
        """The column of that name.

        Raises:
            ContractViolation: the table has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise errors.ContractViolation(
            f"{self.full_name} has no column {name!r}. It has: {', '.join(self.column_names)}."
        )

    def ddl(self) -> str:
        """The CREATE TABLE statement, idempotent."""
        lines = [f'    "{c.name}" {c.type}{"" if c.nullable else " NOT NULL"}' for c in self.columns]
        return f"create table if not exists {self.full_name} (\n" + ",\n".join(lines) + "\n)"

    def layout(self) -> list[str]:
        """The ALTER statements that say how the rows lie in files; for a table just made."""
        statements = []
        if self.partition_by:
            statements.append(f"alter table {self.full_name} set partitioned by ({self.partition_by})")
        if self.sort_by:
            columns = ", ".join(f'"{name}"' for name in self.sort_by)
            statements.append(f"alter table {self.full_name} set sorted by ({columns})")
        return statements

    def comments(self) -> list[str]:
        """The COMMENT statements that carry meaning and unit into the catalog."""
        statements = [f"comment on table {self.full_name} is {_quoted(self.meaning + ' Source: ' + self.source)}"]
        for column in self.columns:
            unit = f" [{column.unit}]" if column.unit else ""
            statements.append(f'comment on column {self.full_name}."{column.name}" is {_quoted(column.meaning + unit)}')
        return statements

    def conform(self, rows: pa.Table) -> pa.Table:
        """Rows in the contract's column order and types.

        Args:
            rows: any column order; columns the contract does not know are refused, nullable ones may be absent.

        Returns:
            A table with exactly `arrow_schema`'s columns and types. NULLs are not judged here: the load sets rows
            that break NOT NULL aside one by one.

        Raises:
            ContractViolation: a column is missing, unknown, or cannot be cast.
        """
        names = set(rows.column_names)
        unknown = sorted(names - set(self.column_names))
        missing = [c.name for c in self.columns if not c.nullable and c.name not in names]
        if unknown or missing:
            raise errors.ContractViolation(
                f"rows for {self.full_name} have the wrong columns. Missing: {', '.join(missing) or 'none'}. "
                f"Unknown: {', '.join(unknown) or 'none'}. Nothing was stored; check the source's column list."
            )
        arrays = []
        for column in self.columns:
            arrow_type = ARROW_TYPES[column.type]
            if column.name not in names:
                arrays.append(pa.nulls(rows.num_rows, arrow_type))
                continue
            try:
                arrays.append(rows.column(column.name).cast(arrow_type))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as exc:
                raise errors.ContractViolation(
                    f"{self.full_name}.{column.name}: values cannot become {column.type} ({exc}). "
                    "Nothing was stored; look at the archived reply."
                ) from exc
        schema = pa.schema([pa.field(c.name, ARROW_TYPES[c.type]) for c in self.columns])
        return pa.table(arrays, schema=schema)

    def empty(self) -> pa.Table:
        """No rows, in the contract's types."""
        return self.conform(self.arrow_schema.empty_table())


def digest_of(columns: Sequence[str]) -> str:
    """The SQL of a digest of some rows that knows no order.

    The outer hash is what makes it one: DuckDB joins the hashes of columns by exclusive or, so that without it a value
    of the last column that an even number of rows share cancels out, and a change of it is not seen
    (`test_digest_changes_when_rows_that_share_a_value_change_alike`).

    Args:
        columns: whose values the digest is of.
    """
    return f"bit_xor({_row_digest(columns)})"


def _row_digest(columns: Sequence[str]) -> str:
    return "hash(hash(" + ", ".join(f'"{name}"' for name in columns) + "))"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
