-- The digest of each partition's inputs, which a derived day carries in the ledger while it is up to date with them.
-- Inputs: $inputs, full names of the input tables; $first, the one without which there is nothing to derive; and, where
-- it is among them, market.index_daily, whose partition in the ledger is an index: of its sessions the rows themselves.
-- Rule easy to get wrong: an input that never came (digest 0) counts as none, so that a day without factors differs from
-- the same day with them; an index that no feature reads makes no day due.
select partition, bit_xor(hash(dataset, content_hash)) as input_hash
from (
    select dataset, partition, content_hash
    from ops.ledger
    where dataset in (select unnest($inputs)) and content_hash <> 0
    union all
    select 'market.index_daily', cast(trade_date as varchar), hash(hash(close, pre_close))
    from market.index_daily
    where ts_code = '000300.SH' and list_contains($inputs, 'market.index_daily')
)
group by partition
having count(*) filter (where dataset = $first and content_hash <> 0) > 0
