-- Stage conversion: of the deals that ever reached a stage, how many went on to a later one?
-- A deal that skipped a stage counts as having passed it. Lost deals stop where they were.
WITH steps AS (
    SELECT deal_key, connection, stage FROM crm.deal_stage_history
    UNION
    SELECT deal_key, connection, stage FROM crm.deals
),
furthest AS (
    SELECT steps.deal_key, stages.pipeline_key, max(stages.position) AS position
    FROM steps
    JOIN crm.deals AS deals USING (deal_key)
    JOIN crm.stages AS stages
      ON stages.connection = steps.connection AND stages.name = steps.stage
     AND stages.pipeline_key = deals.pipeline_key
    WHERE NOT stages.is_closed OR stages.is_won
    GROUP BY ALL
)
SELECT stages.connection, stages.label AS stage,
       count(*) AS reached,
       count(*) FILTER (WHERE furthest.position > stages.position) AS went_on,
       round(count(*) FILTER (WHERE furthest.position > stages.position) / count(*), 3) AS conversion
FROM crm.stages AS stages
JOIN furthest
  ON furthest.pipeline_key = stages.pipeline_key AND furthest.position >= stages.position
WHERE NOT stages.is_closed
GROUP BY stages.connection, stages.label, stages.position
ORDER BY stages.connection, stages.position;
