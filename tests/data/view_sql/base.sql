-- shop.orders as it is now: of each key the newest change by (__seq, __idx), without what was deleted or truncated.
-- orders_base has the newest changes of the ingest days before 2026-11-19, orders_history all from that day on.
-- Made and kept by kakehi: what is changed here by hand is lost.
WITH changes AS (
  SELECT `region`, `id`, `note`, `price`, __op, __seq, __idx, 0 AS __tail
  FROM `p.shop.orders_base`
  UNION ALL
  SELECT `region`, `id`, `note`, `price`, __op, __seq, __idx, 1 AS __tail
  FROM `p.shop.orders_history`
  WHERE __ingest_day >= DATE '2026-11-19'
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
