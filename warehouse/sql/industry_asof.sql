-- Industry of each security as the vendor gave it on the evening of $as_of: one row per security, '' where it gave none.
-- Inputs: market.stock_basic, and ops.revision to undo what was corrected later.
-- Rule easy to get wrong: of several later corrections the first undone is the oldest; a security that came after
-- $as_of stands here too, as nobody asks for it.
with later as (
    select
        (row_key ->> 'ts_code') as ts_code,
        arg_min(struct_pack(old_value := old_value), revision_no).old_value as industry
    from ops.revision
    where dataset = 'market.stock_basic' and column_name = 'industry' and revised_date > $as_of
    group by all
)
select
    stock.ts_code,
    coalesce(if(later.ts_code is not null, later.industry, stock.industry), '') as industry
from market.stock_basic as stock
left join later using (ts_code)
order by stock.ts_code
