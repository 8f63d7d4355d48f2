-- Pipeline on a past day: which deals were open at its end, in which stage, and what were they worth then?
-- The day is 90 days ago; put another number or a day (DATE '2026-03-31') into the first lines. Only deals that
-- exist today are known; deals deleted since are missing, and archived ones are there.
-- Money: the deals' own currency (currency); amount and currency of that day where the CRM keeps a history of
-- amounts, else today's: amounts_of_today counts those. Days: the end of the day in the account's own time zone.
WITH accounts AS (
    SELECT c.connection, coalesce(c.time_zone, 'UTC') AS zone,
           CAST(p.published_at AT TIME ZONE coalesce(c.time_zone, 'UTC') AS DATE) - 90 AS day
    FROM ops.connections AS c
    CROSS JOIN ops.publication AS p
),
moments AS (
    SELECT connection, day, CAST(day + 1 AS TIMESTAMP) AT TIME ZONE zone AS ended_at
    FROM accounts
),
last_rows AS (
    SELECT h.deal_key, h.pipeline_key, h.stage, h.amount, h.currency,
           row_number() OVER (
               PARTITION BY h.deal_key ORDER BY h.changed_at DESC, length(h.source_id) DESC, h.source_id DESC
           ) AS nth
    FROM crm.deal_stage_history AS h
    JOIN moments AS m ON m.connection = h.connection
    WHERE h.changed_at < m.ended_at
),
closing AS (
    SELECT pipeline_key, bool_or(is_closed) AS by_stage
    FROM crm.stages
    GROUP BY pipeline_key
),
standing AS (
    SELECT d.connection, m.day, m.ended_at, d.is_closed, d.closed_at,
           coalesce(h.pipeline_key, d.pipeline_key) AS pipeline_key,
           -- Without a history a deal stands where it entered its present stage before; else nobody knows where.
           CASE WHEN h.deal_key IS NOT NULL THEN h.stage
                WHEN coalesce(d.stage_changed_at, d.created_at) < m.ended_at THEN d.stage END AS stage,
           coalesce(h.amount, d.amount) AS amount,
           coalesce(CASE WHEN h.amount IS NOT NULL THEN h.currency END, d.currency) AS currency,
           h.amount IS NULL AND d.amount IS NOT NULL AS is_of_today
    FROM crm.deals AS d
    JOIN moments AS m ON m.connection = d.connection
    LEFT JOIN last_rows AS h ON h.deal_key = d.deal_key AND h.nth = 1
    WHERE d.created_at < m.ended_at
),
then_open AS (
    SELECT st.*, s.label, s.position
    FROM standing AS st
    LEFT JOIN crm.stages AS s ON s.pipeline_key = st.pipeline_key AND s.name = st.stage
    LEFT JOIN closing ON closing.pipeline_key = st.pipeline_key
    WHERE s.is_closed IS NOT TRUE
      -- Where no stage closes deals, or the stage is not known, the deal's own state tells.
      AND (NOT st.is_closed OR st.closed_at >= st.ended_at OR (closing.by_stage AND st.stage IS NOT NULL))
)
SELECT o.connection,
       o.day,
       p.label AS pipeline,
       coalesce(o.label, o.stage, '(unknown)') AS stage,
       o.currency,
       count(*) AS deals,
       round(sum(o.amount), 2) AS amount,
       count(*) FILTER (WHERE o.is_of_today) AS amounts_of_today
FROM then_open AS o
LEFT JOIN crm.pipelines AS p ON p.pipeline_key = o.pipeline_key
GROUP BY o.connection, o.day, o.pipeline_key, p.label, coalesce(o.label, o.stage, '(unknown)'), o.currency, o.position
ORDER BY o.connection, pipeline, o.position, stage, o.currency;
