-- One row: who may write, and the epoch, which rises with every writer that takes the lake.
-- Made before the lake itself, by whoever holds the advisory lock; `session_pid` is that lock's session, which an
-- operator can end with pg_terminate_backend.
create table if not exists daybook_writer (
    epoch bigint not null, token text not null, holder text not null, pid bigint not null, host text not null, session_pid integer
);
insert into daybook_writer select 0, '', '', 0, '', null where not exists (select 1 from daybook_writer);
