MERGE `p.shop.orders_base` AS base
USING (
    SELECT __op, __ts, __seq, __idx
    FROM `p.shop.orders_history`
    WHERE __ingest_day >= DATE '2026-11-19' AND __op = 't'
    QUALIFY ROW_NUMBER() OVER (ORDER BY __seq DESC, __idx DESC) = 1
) AS change
ON base.__op = change.__op
WHEN MATCHED AND (change.__seq > base.__seq OR (change.__seq = base.__seq AND change.__idx >= base.__idx)) THEN
  UPDATE SET __ts = change.__ts, __seq = change.__seq, __idx = change.__idx
WHEN NOT MATCHED THEN
  INSERT (__op, __ts, __seq, __idx)
  VALUES (change.__op, change.__ts, change.__seq, change.__idx)
