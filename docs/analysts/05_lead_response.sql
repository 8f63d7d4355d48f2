-- Lead response: how long does a lead wait for its first activity, and until it is converted?
WITH first_touch AS (
    SELECT lead_key, min(coalesce(completed_at, starts_at, created_at)) AS touched_at
    FROM crm.activities
    WHERE lead_key IS NOT NULL
    GROUP BY ALL
)
SELECT l.source,
       count(*) AS leads,
       count(f.touched_at) AS touched,
       round(median(date_diff('minute', l.created_at, f.touched_at)) / 60, 1) AS median_hours,
       round(count(*) FILTER (WHERE date_diff('hour', l.created_at, f.touched_at) < 24) / count(*), 3)
           AS within_a_day,
       count(*) FILTER (WHERE l.is_converted) AS converted,
       median(date_diff('day', l.created_at::DATE, l.converted_on)) AS median_days_to_convert
FROM crm.leads AS l
LEFT JOIN first_touch AS f ON f.lead_key = l.lead_key AND f.touched_at >= l.created_at
GROUP BY l.source
ORDER BY leads DESC, l.source;
