-- One row: who may write, and the epoch, which rises with every writer that takes the lake.
-- The trigger runs inside the transaction in which DuckLake commits: SQLite lets one transaction write at a time, so
-- no epoch can rise between its look and the commit.
-- Easy to get wrong: a commit without a token, by a program that holds no lease, must be refused too.
create table if not exists daybook_writer (
    epoch bigint not null, token varchar not null, holder varchar not null, pid bigint not null, host varchar not null, session_pid integer
);
insert into daybook_writer select 0, '', '', 0, '', null where not exists (select 1 from daybook_writer);
create trigger if not exists daybook_fence before insert on ducklake_snapshot_changes
when new.commit_extra_info is not (select token from daybook_writer)
begin
    select raise(abort, 'daybook fence: the commit does not carry the newest writer''s token');
end;
