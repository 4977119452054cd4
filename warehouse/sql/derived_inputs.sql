-- The digest of each partition's inputs, which a derived day carries in the ledger while it is up to date with them.
-- Inputs: $inputs, full names of the input tables; $first, the one without which there is nothing to derive.
-- Rule easy to get wrong: an input that never came (digest 0) counts as none, so that a day without factors differs from
-- the same day with them.
select partition, bit_xor(hash(dataset, content_hash)) as input_hash
from ops.ledger
where dataset in (select unnest($inputs)) and content_hash <> 0
group by partition
having count(*) filter (where dataset = $first and content_hash <> 0) > 0
