-- Stage conversion: of the deals that ever reached a stage, how many went on to a later one or were won?
-- A deal that skipped a stage counts as having passed it. A lost deal stops where it was. A deal that changed its
-- pipeline counts in each of them, and as won in the one it stands in.
-- Money: none. Days: none.
WITH steps AS (
    SELECT h.deal_key, coalesce(h.pipeline_key, d.pipeline_key) AS pipeline_key, h.stage
    FROM crm.deal_stage_history AS h
    JOIN crm.deals AS d ON d.deal_key = h.deal_key
    UNION
    SELECT deal_key, pipeline_key, stage
    FROM crm.deals
),
passed AS (
    SELECT steps.deal_key, steps.pipeline_key, stages.position
    FROM steps
    JOIN crm.stages AS stages
      ON stages.pipeline_key = steps.pipeline_key AND stages.name = steps.stage
    WHERE NOT stages.is_closed
    UNION ALL
    SELECT deal_key, pipeline_key, 1000000
    FROM crm.deals
    WHERE is_won
),
furthest AS (
    SELECT deal_key, pipeline_key, max(position) AS position
    FROM passed
    GROUP BY deal_key, pipeline_key
)
SELECT s.connection, p.label AS pipeline, s.label AS stage,
       count(f.deal_key) AS reached,
       count(f.deal_key) FILTER (WHERE f.position > s.position) AS went_on,
       round(count(f.deal_key) FILTER (WHERE f.position > s.position) / nullif(count(f.deal_key), 0), 3)
           AS conversion
FROM crm.stages AS s
JOIN crm.pipelines AS p ON p.pipeline_key = s.pipeline_key AND p.for_table = 'deals'
LEFT JOIN furthest AS f ON f.pipeline_key = s.pipeline_key AND f.position >= s.position
WHERE NOT s.is_closed
GROUP BY s.connection, s.pipeline_key, p.label, s.stage_key, s.label, s.position
ORDER BY s.connection, p.label, s.position, s.label;
