-- shop.orders as it was at a time, by the source's commit times: of each key the newest change by (__seq, __idx), without what was deleted or truncated.
CREATE OR REPLACE TABLE FUNCTION `p.shop.orders_as_of`(__at TIMESTAMP) AS
(
-- Days of orders_history expire. Of what has expired orders_base has the newest change of each key alone: a key whose
-- state at that time has expired, and which changed later, is missing here.
WITH changes AS (
  SELECT `region`, `id`, `note`, `price`, __op, __seq, __idx, 0 AS __tail
  FROM `p.shop.orders_base`
  WHERE __ts <= __at
    AND __seq >= IFNULL((SELECT MAX(__seq) FROM `p.shop.orders_base` WHERE __op = 't' AND __ts > __at), __seq)
  UNION ALL
  SELECT `region`, `id`, `note`, `price`, __op, __seq, __idx, 1 AS __tail
  FROM `p.shop.orders_history`
  WHERE __ts <= __at AND __ingest_day >= DATE '0001-01-01'
)
SELECT
  `region`,
  `id`,
  `note`,
  `price`
FROM (
  SELECT *
  FROM changes
  WHERE `id` IS NOT NULL AND `region` IS NOT NULL
  QUALIFY ROW_NUMBER() OVER (PARTITION BY `id`, `region` ORDER BY __seq DESC, __idx DESC, __tail DESC) = 1
)
WHERE __op != 'd'
  AND __seq >= IFNULL((SELECT MAX(__seq) FROM changes WHERE __op = 't'), __seq)
)
