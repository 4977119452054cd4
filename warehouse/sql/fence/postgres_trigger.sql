-- The fence: runs inside the transaction in which DuckLake commits, and keeps the epoch's row locked until its end.
-- A writer that takes over waits for that end, or has changed the row before; then PostgreSQL refuses the lock, as
-- DuckLake's transactions are repeatable reads.
-- Easy to get wrong: a commit without a token, by a program that holds no lease, must be refused too.
create or replace function daybook_fence() returns trigger language plpgsql as $body$
begin
    perform 1 from daybook_writer where token = new.commit_extra_info for share;
    if not found then
        raise exception 'daybook fence: the commit does not carry the newest writer''s token';
    end if;
    return new;
end
$body$;
create or replace trigger daybook_fence before insert on ducklake_snapshot_changes
for each row execute function daybook_fence();
