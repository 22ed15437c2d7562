-- shop.orders as it was at a time, by the source's commit times: of each key the newest change by (__seq, __idx), without what was deleted or truncated.
CREATE OR REPLACE TABLE FUNCTION `p.shop.orders_as_of`(__at TIMESTAMP) AS
SELECT
  `region`,
  `id`,
  `note`,
  `price`
FROM (
  SELECT *
  FROM `p.shop.orders_history`
  WHERE `id` IS NOT NULL AND `region` IS NOT NULL AND __ts <= __at
  QUALIFY ROW_NUMBER() OVER (PARTITION BY `id`, `region` ORDER BY __seq DESC, __idx DESC) = 1
)
WHERE __op != 'd'
  AND __seq >= IFNULL((SELECT MAX(__seq) FROM `p.shop.orders_history` WHERE __op = 't' AND __ts <= __at), __seq)
