-- One row per Parquet file that the catalog names for any snapshot it still keeps: data files and the files of deletes.
-- Inputs: DuckLake's own tables, attached beside the lake; $data_address, under which its files lie. A path is relative
-- to its table's, that one to its schema's.
-- Rule easy to get wrong: a table has one row per name it ever bore, so its newest row decides (ducklake#527).
with place as (
    select
        t.table_id,
        arg_max(s.schema_name || '.' || t.table_name, t.begin_snapshot) as table_name,
        arg_max(
            case
                when not t.path_is_relative::boolean then t.path
                when not s.path_is_relative::boolean then s.path || t.path
                else $data_address || s.path || t.path
            end,
            t.begin_snapshot
        ) as folder
    from __ducklake_metadata_lake.ducklake_table as t
    join __ducklake_metadata_lake.ducklake_schema as s using (schema_id)
    group by t.table_id
),
partition_of as (
    select data_file_id, string_agg(partition_value, '/' order by partition_key_index) as partition_value
    from __ducklake_metadata_lake.ducklake_file_partition_value group by data_file_id
),
file as (
    select
        'data' as kind, f.table_id, f.data_file_id, f.path, f.path_is_relative, f.record_count as n_rows,
        f.file_size_bytes as n_bytes, f.begin_snapshot, f.end_snapshot
    from __ducklake_metadata_lake.ducklake_data_file as f
    union all
    select
        'delete', d.table_id, d.data_file_id, d.path, d.path_is_relative, d.delete_count, d.file_size_bytes,
        d.begin_snapshot, d.end_snapshot
    from __ducklake_metadata_lake.ducklake_delete_file as d
)
select
    place.table_name,
    file.kind,
    file.data_file_id,
    case when file.path_is_relative::boolean then place.folder || file.path else file.path end as path,
    coalesce(partition_of.partition_value, '') as partition_value,
    file.n_rows,
    file.n_bytes,
    file.begin_snapshot,
    file.end_snapshot
from file
join place using (table_id)
left join partition_of using (data_file_id)
order by place.table_name, file.kind, file.begin_snapshot, path
