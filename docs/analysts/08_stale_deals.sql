-- Stale deals: open deals on which nothing happened for 30 days, the largest first.
WITH last_activity AS (
    SELECT deal_key, max(coalesce(completed_at, starts_at, created_at)) AS active_at
    FROM crm.activities
    WHERE deal_key IS NOT NULL
    GROUP BY ALL
)
SELECT d.deal_key, d.name, d.stage, d.amount, d.currency, u.full_name AS owner,
       date_diff('day', greatest(a.active_at, d.created_at, d.stage_changed_at), p.published_at)
           AS days_quiet
FROM crm.deals AS d
CROSS JOIN ops.publication AS p
LEFT JOIN last_activity AS a USING (deal_key)
LEFT JOIN crm.users AS u ON u.user_key = d.owner_key
WHERE NOT d.is_closed AND days_quiet > 30
ORDER BY d.amount DESC NULLS LAST, d.deal_key;
