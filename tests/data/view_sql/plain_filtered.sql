-- shop.orders as it is now: of each key the newest change by (__seq, __idx), without what was deleted or truncated.
-- Made and kept by kakehi: what is changed here by hand is lost.
SELECT
  `region`,
  `id`,
  `note`,
  `price`
FROM (
  SELECT *
  FROM `p.shop.orders_history`
  WHERE `id` IS NOT NULL AND `region` IS NOT NULL AND __ingest_day >= DATE '0001-01-01'
  QUALIFY ROW_NUMBER() OVER (PARTITION BY `id`, `region` ORDER BY __seq DESC, __idx DESC) = 1
)
WHERE __op != 'd'
  AND __seq >= IFNULL((SELECT MAX(__seq) FROM `p.shop.orders_history` WHERE __op = 't' AND __ingest_day >= DATE '0001-01-01'), __seq)
