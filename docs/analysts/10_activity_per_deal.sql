-- Activity per deal: how much work goes into deals that we win, lose, or still work on?
-- An activity that belongs to several deals counts for each of them, planned ones included.
-- Money: none. Days: none.
WITH links AS (
    SELECT activity_key, deal_key FROM crm.activities WHERE deal_key IS NOT NULL
    UNION
    SELECT from_key, to_key
    FROM crm.associations
    WHERE from_table = 'activities' AND to_table = 'deals'
),
work AS (
    SELECT links.deal_key, count(*) AS activities,
           count(*) FILTER (WHERE a.activity_type = 'call') AS calls,
           count(*) FILTER (WHERE a.activity_type = 'email') AS emails,
           count(*) FILTER (WHERE a.activity_type = 'meeting') AS meetings
    FROM links
    JOIN crm.activities AS a ON a.activity_key = links.activity_key
    GROUP BY links.deal_key
)
SELECT d.connection,
       CASE WHEN d.is_won THEN 'won' WHEN d.is_closed THEN 'lost' WHEN NOT d.is_closed THEN 'open' END AS outcome,
       count(*) AS deals,
       round(avg(coalesce(w.activities, 0)), 2) AS activities_a_deal,
       round(avg(coalesce(w.calls, 0)), 2) AS calls_a_deal,
       round(avg(coalesce(w.emails, 0)), 2) AS emails_a_deal,
       round(avg(coalesce(w.meetings, 0)), 2) AS meetings_a_deal,
       count(*) FILTER (WHERE w.deal_key IS NULL) AS without_any
FROM crm.deals AS d
LEFT JOIN work AS w ON w.deal_key = d.deal_key
GROUP BY d.connection, outcome
ORDER BY d.connection, outcome;
