SELECT CURRENT_DATE('UTC') AS day, -1 AS row_count, 0 AS truncates
UNION ALL
SELECT __ingest_day, COUNT(*), COUNTIF(__op = 't')
FROM `p.shop.orders_history`
WHERE __ingest_day >= DATE '0001-01-01'
GROUP BY __ingest_day
