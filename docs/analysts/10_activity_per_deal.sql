-- Activity per deal: how much work goes into deals that we win, lose, or still work on?
WITH work AS (
    SELECT deal_key, count(*) AS activities,
           count(*) FILTER (WHERE activity_type = 'call') AS calls,
           count(*) FILTER (WHERE activity_type = 'meeting') AS meetings
    FROM crm.activities
    WHERE deal_key IS NOT NULL
    GROUP BY ALL
)
SELECT CASE WHEN d.is_won THEN 'won' WHEN d.is_closed THEN 'lost' ELSE 'open' END AS outcome,
       count(*) AS deals,
       round(avg(coalesce(w.activities, 0)), 2) AS activities_a_deal,
       round(avg(coalesce(w.calls, 0)), 2) AS calls_a_deal,
       round(avg(coalesce(w.meetings, 0)), 2) AS meetings_a_deal,
       count(*) FILTER (WHERE w.deal_key IS NULL) AS without_any
FROM crm.deals AS d
LEFT JOIN work AS w USING (deal_key)
GROUP BY outcome
ORDER BY outcome;
