-- Forecast by stage: what is expected to close in which month, plain and weighted by probability?
-- A deal without a probability of its own has that of its stage. Archived deals do not count.
-- Money: the deals' own currency (currency), so lines of several currencies do not add up.
-- Days: months and what is overdue are those of the account's own time zone.
WITH accounts AS (
    SELECT c.connection,
           CAST(p.published_at AT TIME ZONE coalesce(c.time_zone, 'UTC') AS DATE) AS today
    FROM ops.connections AS c
    CROSS JOIN ops.publication AS p
)
SELECT d.connection,
       coalesce(strftime(d.close_date, '%Y-%m'), '(no day)') AS month,
       p.label AS pipeline,
       d.stage_label AS stage,
       d.currency,
       count(*) AS deals,
       round(sum(d.amount), 2) AS amount,
       round(sum(CAST(d.amount AS DOUBLE) * coalesce(d.probability, s.probability) / 100), 2) AS weighted,
       count(*) FILTER (WHERE d.close_date < a.today) AS overdue
FROM crm.deals AS d
JOIN accounts AS a ON a.connection = d.connection
LEFT JOIN crm.pipelines AS p ON p.pipeline_key = d.pipeline_key
LEFT JOIN crm.stages AS s ON s.pipeline_key = d.pipeline_key AND s.name = d.stage
WHERE NOT d.is_closed AND d.is_archived IS NOT TRUE
GROUP BY d.connection, month, p.label, d.stage_label, d.currency, s.position
ORDER BY d.connection, month, pipeline, s.position, stage, d.currency;
