-- One PostgreSQL for two databases: Prefect's own, and the lake's catalog. Each has its owner, and the lake a role that
-- can only read. Run with psql, as a superuser; passwords are files of a folder, so that no command line shows them:
--
--   psql -d postgres -v secrets=/run/secrets -f roles.sql
--
-- Run again it makes what is missing and gives the roles the passwords of today's files. Roles and databases of these
-- names that were there before are taken for its own.
--
-- | role            | may                                          | file of its password   |
-- |-----------------|----------------------------------------------|------------------------|
-- | prefect         | everything in the database prefect, no other | prefect_password       |
-- | daybook_writer  | everything in the database daybook, no other | lake_writer_password   |
-- | daybook_reader  | read the catalog's tables in daybook         | lake_reader_password   |
\set ON_ERROR_STOP on
-- Passwords stand in clear in the statements below: neither the server's log nor its statistics may keep one.
set log_min_error_statement to panic;
set log_statement to none;
set log_min_duration_statement to -1;
set log_min_duration_sample to -1;
set log_transaction_sample_rate to 0;
set pg_stat_statements.track to none;
\if :{?secrets}
\else
\set secrets /run/secrets
\endif
\set prefect_password `cat :'secrets'/prefect_password`
\set writer_password `cat :'secrets'/lake_writer_password`
\set reader_password `cat :'secrets'/lake_reader_password`
-- Division by zero: one of the three files is missing or empty.
select 1 / (length(:'prefect_password') * length(:'writer_password') * length(:'reader_password')) as are_there \gset

select format('create role %I', role)
    from unnest(array['prefect', 'daybook_writer', 'daybook_reader']) as wanted (role)
    where not exists (select from pg_roles where rolname = role) \gexec
alter role prefect login nosuperuser nocreatedb nocreaterole noreplication password :'prefect_password';
alter role daybook_writer login nosuperuser nocreatedb nocreaterole noreplication password :'writer_password';
alter role daybook_reader login nosuperuser nocreatedb nocreaterole noreplication password :'reader_password';

select format('create database %I owner %I', name, role)
    from (values ('prefect', 'prefect'), ('daybook', 'daybook_writer')) as wanted (name, role)
    where not exists (select from pg_database where datname = name) \gexec
-- By default every role may connect to every database, and make temporary tables there.
revoke all on database prefect, daybook from public;
grant connect on database daybook to daybook_reader;

\connect daybook
-- Up to PostgreSQL 14 everybody may make tables in `public`.
revoke all on schema public from public;
grant all on schema public to daybook_writer;
grant usage on schema public to daybook_reader;
-- Calls to vendors are counted in the schema daybook_limits, which daybook_writer makes and nobody else may see.
-- The catalog's tables come later, some with every load.
alter default privileges for role daybook_writer in schema public grant select on tables to daybook_reader;
-- Who holds this lock is the lake's writer; a reader that took it would keep every load waiting.
select format('revoke execute on function %s from public', oid::regprocedure)
    from pg_proc
    where pronamespace = 'pg_catalog'::regnamespace and proname ~ '^pg_(try_)?advisory_(xact_)?lock' \gexec
grant execute on function pg_advisory_lock(bigint) to daybook_writer;
-- Large objects belong to no schema: everybody may make them, and they stay. The catalog has none.
select format('revoke execute on function %s from public', oid::regprocedure)
    from pg_proc
    where pronamespace = 'pg_catalog'::regnamespace and proname ~ '^(lo_|loread$|lowrite$)' \gexec
