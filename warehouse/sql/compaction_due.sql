-- One row per table that is worth compacting: many small files in one partition, or a file with many rows deleted.
-- Inputs: DuckLake's own tables, attached beside the lake; $small (bytes), $files (count), $share (of a file's rows).
-- Rule easy to get wrong: files of different partitions are never merged, so they are counted partition by partition.
with live as (
    select f.table_id, f.data_file_id, f.record_count, f.file_size_bytes, coalesce(d.delete_count, 0) as n_deleted
    from __ducklake_metadata_lake.ducklake_data_file as f
    left join __ducklake_metadata_lake.ducklake_delete_file as d
        on d.data_file_id = f.data_file_id and d.end_snapshot is null
    where f.end_snapshot is null
),
partition_of as (
    select data_file_id, string_agg(partition_value, '/' order by partition_key_index) as partition_value
    from __ducklake_metadata_lake.ducklake_file_partition_value group by data_file_id
),
due as (
    select live.table_id
    from live left join partition_of using (data_file_id)
    group by live.table_id, partition_of.partition_value
    having count(*) filter (where live.file_size_bytes < $small) >= $files
        or bool_or(live.n_deleted > 0 and live.n_deleted >= $share * live.record_count)
)
select distinct s.schema_name || '.' || t.table_name as table_name
from due
join __ducklake_metadata_lake.ducklake_table as t using (table_id)
join __ducklake_metadata_lake.ducklake_schema as s using (schema_id)
where t.end_snapshot is null
order by table_name
