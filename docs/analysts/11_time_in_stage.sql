-- Time in stage: where do deals wait?
-- A stay lasts from entering a stage to leaving it, or to the closing of a deal that is closed in its stage. Rows
-- of the history that change an amount only are no stays. A stay that goes on has been left by nobody yet.
-- Money: none. Days: 24 hours each.
WITH stays AS (
    SELECT h.connection, h.deal_key, h.stage, h.entered_at,
           coalesce(h.left_at, CASE WHEN d.is_closed THEN d.closed_at END) AS left_at,
           first(coalesce(h.pipeline_key, d.pipeline_key)
                 ORDER BY h.changed_at, length(h.source_id), h.source_id) AS pipeline_key
    FROM crm.deal_stage_history AS h
    JOIN crm.deals AS d ON d.deal_key = h.deal_key
    GROUP BY h.connection, h.deal_key, h.stage, h.entered_at, h.left_at, d.is_closed, d.closed_at
)
SELECT st.connection,
       p.label AS pipeline,
       coalesce(s.label, st.stage) AS stage,
       count(*) AS times_entered,
       count(st.left_at) AS times_left,
       round(median((epoch(st.left_at) - epoch(st.entered_at)) / 86400), 1) AS median_days
FROM stays AS st
LEFT JOIN crm.pipelines AS p ON p.pipeline_key = st.pipeline_key
LEFT JOIN crm.stages AS s ON s.pipeline_key = st.pipeline_key AND s.name = st.stage
WHERE s.is_closed IS NOT TRUE
GROUP BY st.connection, st.pipeline_key, p.label, coalesce(s.label, st.stage), s.position
ORDER BY st.connection, pipeline, s.position, stage;
