-- Deals on a past day: what did each deal look like at its end, and what is different now?
-- The day is 90 days ago; put another number or a day (DATE '2026-03-01') into the first lines. Versions are known
-- since a deal was read first: a deal that was changed before that shows from its last change on.
-- Money: each deal's own currency (currency). Days: the end of the day in the account's own time zone.
WITH moments AS (
    SELECT a.connection, a.day, CAST(a.day + 1 AS TIMESTAMP) AT TIME ZONE a.zone AS ended_at
    FROM (
        SELECT c.connection, coalesce(c.time_zone, 'UTC') AS zone,
               CAST(p.published_at AT TIME ZONE coalesce(c.time_zone, 'UTC') AS DATE) - 90 AS day
        FROM ops.connections AS c
        CROSS JOIN ops.publication AS p
    ) AS a
)
SELECT d.connection,
       m.day,
       d.deal_key,
       d.name,
       coalesce(d.stage_label, d.stage) AS stage,
       d.amount,
       d.currency,
       d.is_closed,
       CASE WHEN n.is_deleted THEN '(deleted)' ELSE coalesce(n.stage_label, n.stage) END AS stage_now,
       n.amount AS amount_now
FROM crm_history.deals AS d
JOIN moments AS m ON m.connection = d.connection
LEFT JOIN crm_history.deals AS n ON n.deal_key = d.deal_key AND n.valid_to IS NULL
WHERE d.valid_from < m.ended_at
  AND (d.valid_to IS NULL OR d.valid_to >= m.ended_at)
  AND d.is_deleted IS NOT TRUE
ORDER BY d.connection, d.amount DESC NULLS LAST, d.deal_key;
