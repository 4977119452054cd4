-- Sessions whose stored rows are not those that the checks last looked at: one row each, with the digest of what stands.
-- Inputs: ops.ledger, ops.checked_session; $as_of.
-- Rule easy to get wrong: the state counts too, because some checks look only at sessions that are whole.
with standing as (
    select
        cast(partition as date) as trade_date,
        bit_xor(hash(dataset, state, content_hash)) as input_hash
    from ops.ledger
    where dataset in ('market.daily', 'market.adj_factor', 'market.daily_basic', 'market.suspend_d')
        and content_hash <> 0
        and cast(partition as date) <= $as_of
    group by partition
)
select standing.trade_date, standing.input_hash
from standing
left join ops.checked_session as checked using (trade_date)
where checked.input_hash is distinct from standing.input_hash
order by standing.trade_date
