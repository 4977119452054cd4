"""A reader asks questions: one at a time by `daybook sql`, many by the prompt, and no statement changes a file."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import pytest

from warehouse import errors, lake, statements


@pytest.mark.parametrize(
    ("text", "whole", "rest"),
    [
        ("select 1;", ["select 1"], ""),
        ("select 1; select 2", ["select 1"], " select 2"),
        ("select ';' as a, \"b;c\";", ["select ';' as a, \"b;c\""], ""),
        ("select 1 -- one; two\n;", ["select 1 -- one; two\n"], ""),
        ("select /* ; */ 1;", ["select /* ; */ 1"], ""),
        ("select $$ ; $$, $a$ ; $$ ; $a$;", ["select $$ ; $$, $a$ ; $$ ; $a$"], ""),
        ("select 'it''s; here';", ["select 'it''s; here'"], ""),
        (r"select e'it\'s; here';", [r"select e'it\'s; here'"], ""),
        (";; -- nothing\n;", [], ""),
        ("select 'not ended; ", [], "select 'not ended; "),
        ("select 1; /* not ended ;", ["select 1"], " /* not ended ;"),
    ],
)
def test_statement_ends_only_at_a_semicolon_of_its_own(text, whole, rest):
    assert statements.split(text) == (whole, rest)


@hypothesis.given(st.lists(st.text("a;'\"$-/* \n", max_size=12), max_size=4))
def test_no_character_is_lost_when_quoted_text_is_split(words):
    quoted = ["select '" + word.replace("'", "''") + "'" for word in words]

    whole, rest = statements.split(";".join([*quoted, ""]))

    assert (whole, rest) == (quoted, "")


@pytest.mark.parametrize(
    "query",
    [
        "select 1",
        "select ';';",
        "from analyst.market_day limit 5;",
        "with a as (select 1 as b) from a",
        "describe analyst.freshness",
        "summarize analyst.freshness",
        "show tables",
        "values (1)",
        "pivot analyst.coverage on state using count(*)",
        "explain select 1",
        "-- why\nexplain /* so */ analyze select 1",
        "explain (format json) select 1",
    ],
)
def test_question_passes_when_it_is_one(query):
    statements.refuse_unless_one_select(query)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "query is empty"),
        ("-- nothing", "query is empty"),
        ("select 1; select 2", "this is 2 statements"),
        ("insert into ops.property values ('a', 'b')", "this is INSERT"),
        ("with a as (select 1) insert into ops.property select 1, 2", "this is INSERT"),
        ("create table x as select 1", "this is CREATE"),
        ("drop table market.daily", "this is DROP"),
        ("copy (select 1) to 'x.csv'", "this is COPY"),
        ("attach 'x.duckdb'", "this is ATTACH"),
        ("call ducklake_expire_snapshots('lake')", "this is CALL"),
        ("explain analyze copy (select 1) to 'x.csv'", "EXPLAIN of something else"),
        ("explain analyze delete from ops.property", "EXPLAIN of something else"),
        ("set memory_limit = '1GB'", "this is SET"),
    ],
)
def test_query_is_refused_in_one_line_when_it_is_no_single_question(query, said):
    with pytest.raises(errors.ConfigError, match=said) as caught:
        statements.refuse_unless_one_select(query)

    assert "\n" not in str(caught.value)


def test_query_that_is_no_sql_is_refused_in_one_line():
    with pytest.raises(errors.LakeError, match="syntax error") as caught:
        statements.refuse_unless_one_select("selec 1\nfrom nowhere")

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "statement", ["attach 'x'", "detach lake", "copy (select 1) to 'x'", "load httpfs", "checkpoint"]
)
def test_prompt_refuses_what_reaches_beyond_the_lake(statement):
    with pytest.raises(errors.ConfigError, match="only reads the lake"):
        statements.refuse_changes(statement)


@pytest.mark.parametrize(
    "statement", ["create temp table t as select 1", "insert into t values (2)", "begin", "set threads = 1"]
)
def test_prompt_takes_what_touches_its_session_only(statement):
    statements.refuse_changes(statement)


@pytest.mark.parametrize(
    "call",
    [
        "call ducklake_cleanup_old_files('lake', cleanup_all => true)",
        "from ducklake_cleanup_old_files('lake', older_than => now())",
        "call ducklake_merge_adjacent_files('lake')",
        "call lake.merge_adjacent_files()",
        "from ducklake_merge_adjacent_files('lake', 'release', schema => 'macro')",
        "call ducklake_flush_inlined_data('lake')",
        "call ducklake_rewrite_data_files('lake', delete_threshold => 0.5)",
    ],
)
def test_reader_touches_no_file_when_it_calls_maintenance(empty_lake, call):
    """DuckLake 1.5.5 deletes or writes files here before its read-only catalog refuses the rest."""
    for n in range(3):
        empty_lake.commit(
            lambda c, n=n: c.execute(
                "insert into macro.release select 'S' || i, date '2020-01-01', date '2020-02-01', date '2020-02-02'"
                f" from range({n * 100}, {n * 100 + 100}) as t (i)"
            ),
            message="releases",
        )
    for statement in (
        "call ducklake_merge_adjacent_files('lake')",
        "call ducklake_expire_snapshots('lake', older_than => now())",
        "insert into macro.release select 'T', '2020-01-01', '2020-02-01', '2020-02-02'",
    ):
        empty_lake.commit(lambda c, statement=statement: c.execute(statement), message="upkeep")
    before = files_of(empty_lake)

    with lake.open_reader(empty_lake.location) as reader, pytest.raises(errors.LakeError, match="attached for reading"):
        reader.read(call)

    assert len(before) > 1
    assert files_of(empty_lake) == before


def files_of(opened):
    return sorted((path.name, path.stat().st_size) for path in (opened.location.path / "data").rglob("*.parquet"))
