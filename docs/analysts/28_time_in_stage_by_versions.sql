-- Time in stage by versions: how long do deals stay in stages, for CRMs with and without a history of stages?
-- A stay begins with a version that has another stage than the one before, and ends with the next such version; the
-- stay that a deal was in when it was read first is left out, because nobody saw it begin. Changes between two reads
-- are not seen. crm_stays and crm_median_days say the same by the CRM's own history of stages, where it has one.
-- Money: none. Days: 24 hours each.
WITH steps AS (
    SELECT connection, deal_key, pipeline_key, stage, valid_from, valid_to, is_deleted,
           row_number() OVER versions AS nth,
           lag(stage) OVER versions IS DISTINCT FROM stage
               OR lag(pipeline_key) OVER versions IS DISTINCT FROM pipeline_key
               OR lag(is_deleted) OVER versions IS DISTINCT FROM is_deleted AS is_start
    FROM crm_history.deals
    WINDOW versions AS (PARTITION BY deal_key ORDER BY valid_from, valid_to NULLS LAST)
),
numbered AS (
    SELECT *, count(*) FILTER (WHERE is_start) OVER (PARTITION BY deal_key ORDER BY nth) AS stay
    FROM steps
),
stays AS (
    SELECT connection, deal_key, pipeline_key, stage, min(valid_from) AS entered_at,
           CASE WHEN count(valid_to) = count(*) THEN max(valid_to) END AS left_at
    FROM numbered
    WHERE is_deleted IS NOT TRUE AND stage IS NOT NULL
    GROUP BY connection, deal_key, pipeline_key, stage, stay
    HAVING min(nth) > 1
),
of_crm AS (
    SELECT connection, pipeline_key, stage, count(*) AS stays,
           median((epoch(left_at) - epoch(entered_at)) / 86400) AS days
    FROM (
        SELECT DISTINCT connection, deal_key, pipeline_key, stage, entered_at, left_at
        FROM crm.deal_stage_history
        WHERE left_at IS NOT NULL
    ) AS h
    GROUP BY connection, pipeline_key, stage
)
SELECT s.connection,
       p.label AS pipeline,
       coalesce(st.label, s.stage) AS stage,
       count(*) AS stays,
       count(s.left_at) AS ended,
       round(median((epoch(s.left_at) - epoch(s.entered_at)) / 86400), 1) AS median_days,
       any_value(o.stays) AS crm_stays,
       round(any_value(o.days), 1) AS crm_median_days
FROM stays AS s
LEFT JOIN crm.pipelines AS p ON p.pipeline_key = s.pipeline_key
LEFT JOIN crm.stages AS st ON st.pipeline_key = s.pipeline_key AND st.name = s.stage
LEFT JOIN of_crm AS o
    ON o.connection = s.connection AND o.stage = s.stage AND o.pipeline_key IS NOT DISTINCT FROM s.pipeline_key
WHERE st.is_closed IS NOT TRUE
GROUP BY s.connection, s.pipeline_key, p.label, s.stage, coalesce(st.label, s.stage), st.position
ORDER BY s.connection, pipeline, st.position, stage;
