MERGE `p.shop.orders_base` AS base
USING (
  SELECT `region`, `id`, `note`, `price`, __op, __ts, __seq, __idx
  FROM (
    SELECT *
    FROM `p.shop.orders_history`
    WHERE __ingest_day >= DATE '2026-11-19' AND `id` IS NOT NULL AND `region` IS NOT NULL
    QUALIFY ROW_NUMBER() OVER (PARTITION BY `id`, `region` ORDER BY __seq DESC, __idx DESC) = 1
  )
) AS change
ON base.`id` = change.`id` AND base.`region` = change.`region`
WHEN MATCHED AND (change.__seq > base.__seq OR (change.__seq = base.__seq AND change.__idx >= base.__idx)) THEN
  UPDATE SET `note` = change.`note`, `price` = change.`price`, __op = change.__op, __ts = change.__ts, __seq = change.__seq, __idx = change.__idx
WHEN NOT MATCHED THEN
  INSERT (`region`, `id`, `note`, `price`, __op, __ts, __seq, __idx)
  VALUES (change.`region`, change.`id`, change.`note`, change.`price`, change.__op, change.__ts, change.__seq, change.__idx)
