-- Time in stage: how many days do deals spend in each stage before they move on?
WITH moves AS (
    SELECT deal_key, connection, stage, changed_at,
           lag(stage) OVER (PARTITION BY deal_key ORDER BY changed_at, source_id) AS before
    FROM crm.deal_stage_history
),
entered AS (
    SELECT *, lead(changed_at) OVER (PARTITION BY deal_key ORDER BY changed_at) AS left_at
    FROM moves
    WHERE stage IS DISTINCT FROM before
)
SELECT e.connection, e.stage,
       count(*) AS times_entered,
       count(e.left_at) AS times_left,
       round(median(date_diff('hour', e.changed_at, e.left_at)) / 24, 1) AS median_days
FROM entered AS e
LEFT JOIN crm.stages AS s ON s.connection = e.connection AND s.name = e.stage
WHERE NOT coalesce(s.is_closed, false)
GROUP BY e.connection, e.stage, s.position
ORDER BY e.connection, s.position, e.stage;
