-- Pipeline by week: which open deals were there at the end of each of the last 13 Sundays, and what were they worth then?
-- Every deal counts as it was on that day, also one that has been closed or deleted since. Weeks before a deal was
-- read first, or before its last change until then, lack it.
-- Money: the account's main currency (currency), at the rate of each deal; without_rate counts deals whose amount
-- cannot be converted. Days: Sundays in the account's own time zone.
WITH accounts AS (
    SELECT c.connection, c.currency,
           CAST(p.published_at AT TIME ZONE coalesce(c.time_zone, 'UTC') AS DATE) AS today
    FROM ops.connections AS c
    CROSS JOIN ops.publication AS p
)
SELECT d.connection,
       d.day,
       p.label AS pipeline,
       a.currency,
       count(*) AS deals,
       round(sum(d.amount_main), 2) AS amount,
       count(*) FILTER (WHERE d.amount IS NOT NULL AND d.amount_main IS NULL) AS without_rate
FROM crm_history.deals_daily AS d
JOIN accounts AS a ON a.connection = d.connection
LEFT JOIN crm.pipelines AS p ON p.pipeline_key = d.pipeline_key
WHERE d.is_closed IS NOT TRUE
  AND isodow(d.day) = 7
  AND d.day < a.today
  AND d.day >= a.today - 91
GROUP BY d.connection, d.day, d.pipeline_key, p.label, a.currency
ORDER BY d.connection, pipeline, d.day;
