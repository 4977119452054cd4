-- Calls to vendors, a row each; limits the vendors told, and pauses they asked for: what `warehouse/sources/limits.py`
-- keeps. A scope is an account, as vendor and digest, and what was called; seconds are those of this server's clock.
-- `account` has a row for each account: who may look and write holds its lock; `latest` is the newest time given out.
create schema if not exists daybook_limits;
create table if not exists daybook_limits.account (account text primary key, latest double precision not null);
create table if not exists daybook_limits.started (scope text not null, at double precision not null);
create index if not exists started_by_scope on daybook_limits.started (scope, at);
create table if not exists daybook_limits.told (
    scope text primary key, calls integer not null, per_s double precision not null, at double precision not null,
    setting text not null
);
create table if not exists daybook_limits.paused (
    scope text primary key, since double precision not null, until double precision not null
);
