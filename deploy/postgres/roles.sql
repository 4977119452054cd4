-- One PostgreSQL for two databases: Prefect's own, and the lake's catalog. Each has its owner, and the lake a role that
-- can only read. Run once, with psql, as a superuser; passwords are files of a folder, so that no command line shows
-- them:
--
--   psql -d postgres -v secrets=/run/secrets -f roles.sql
--
-- | role            | may                                          | file of its password   |
-- |-----------------|----------------------------------------------|------------------------|
-- | prefect         | everything in the database prefect, no other | prefect_password       |
-- | daybook_writer  | everything in the database daybook, no other | lake_writer_password   |
-- | daybook_reader  | read what daybook_writer makes in daybook    | lake_reader_password   |
\set ON_ERROR_STOP on
\if :{?secrets}
\else
\set secrets /run/secrets
\endif
\set prefect_password `cat :'secrets'/prefect_password`
\set writer_password `cat :'secrets'/lake_writer_password`
\set reader_password `cat :'secrets'/lake_reader_password`
-- Division by zero: one of the three files is missing or empty.
select 1 / (length(:'prefect_password') * length(:'writer_password') * length(:'reader_password')) as are_there \gset

create role prefect login nosuperuser nocreatedb nocreaterole noreplication password :'prefect_password';
create role daybook_writer login nosuperuser nocreatedb nocreaterole noreplication password :'writer_password';
create role daybook_reader login nosuperuser nocreatedb nocreaterole noreplication password :'reader_password';

create database prefect owner prefect;
create database daybook owner daybook_writer;
-- By default every role may connect to every database, and make temporary tables there.
revoke all on database prefect, daybook from public;
grant connect on database daybook to daybook_reader;

\connect daybook
-- Up to PostgreSQL 14 everybody may make tables in `public`.
revoke all on schema public from public;
grant all on schema public to daybook_writer;
grant usage on schema public to daybook_reader;
-- The catalog's tables come later, some with every load.
alter default privileges for role daybook_writer in schema public grant select on tables to daybook_reader;
-- Who holds this lock is the lake's writer; a reader that took it would keep every load waiting.
select format('revoke execute on function %s from public', oid::regprocedure)
    from pg_proc
    where pronamespace = 'pg_catalog'::regnamespace and proname ~ '^pg_(try_)?advisory_(xact_)?lock' \gexec
grant execute on function pg_advisory_lock(bigint) to daybook_writer;
