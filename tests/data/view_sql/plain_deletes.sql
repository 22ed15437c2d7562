-- shop.orders as it is now: of each key the newest change by (__seq, __idx), with __deleted where it was deleted or truncated.
-- Made and kept by kakehi: what is changed here by hand is lost.
SELECT
  `region`,
  `id`,
  `note`,
  `price`,
  __op = 'd' OR __seq < IFNULL((SELECT MAX(__seq) FROM `p.shop.orders_history` WHERE __op = 't'), __seq) AS __deleted
FROM (
  SELECT *
  FROM `p.shop.orders_history`
  WHERE `id` IS NOT NULL AND `region` IS NOT NULL
  QUALIFY ROW_NUMBER() OVER (PARTITION BY `id`, `region` ORDER BY __seq DESC, __idx DESC) = 1
)
