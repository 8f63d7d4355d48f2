-- Stale deals: on which open deals has nothing happened for 30 days? The largest of each currency first.
-- What counts is the creation, a change of stage, and the last activity that was done, began or was entered; what
-- is open, lies ahead, was called off or failed does not count, nor do archived deals.
-- Money: the deal's own currency (currency). Days: last_on is a day of the account's own time zone; days_quiet are
-- full 24 hours.
WITH links AS (
    SELECT activity_key, deal_key FROM crm.activities WHERE deal_key IS NOT NULL
    UNION
    SELECT from_key, to_key
    FROM crm.associations
    WHERE from_table = 'activities' AND to_table = 'deals'
),
work AS (
    SELECT links.deal_key, max(coalesce(a.completed_at, a.starts_at, a.created_at)) AS active_at
    FROM links
    JOIN crm.activities AS a ON a.activity_key = links.activity_key
    CROSS JOIN ops.publication AS p
    WHERE a.is_closed IS NOT FALSE
      AND coalesce(lower(a.status), '') NOT IN ('scheduled', 'canceled', 'rescheduled', 'no_show', 'failed', 'bounced')
      AND coalesce(a.completed_at, a.starts_at, a.created_at) <= p.published_at
    GROUP BY links.deal_key
),
everyone AS (
    SELECT user_key, coalesce(full_name, email) AS name FROM crm.users
    UNION ALL
    SELECT user_key, coalesce(full_name, email) FROM crm.users_deleted
),
open_deals AS (
    SELECT d.connection, d.deal_key, d.name, d.stage_label, d.owner_key, d.owner_source_id, d.amount, d.currency,
           greatest(w.active_at, d.created_at, d.stage_changed_at) AS last_at
    FROM crm.deals AS d
    LEFT JOIN work AS w ON w.deal_key = d.deal_key
    WHERE NOT d.is_closed AND d.is_archived IS NOT TRUE
)
SELECT d.connection,
       d.name AS deal,
       d.stage_label AS stage,
       coalesce(u.name, d.owner_source_id, '(nobody)') AS owner,
       d.amount,
       d.currency,
       CAST(d.last_at AT TIME ZONE coalesce(c.time_zone, 'UTC') AS DATE) AS last_on,
       CAST(floor((epoch(p.published_at) - epoch(d.last_at)) / 86400) AS BIGINT) AS days_quiet
FROM open_deals AS d
CROSS JOIN ops.publication AS p
JOIN ops.connections AS c ON c.connection = d.connection
LEFT JOIN everyone AS u ON u.user_key = d.owner_key
WHERE epoch(p.published_at) - epoch(d.last_at) >= 30 * 86400
ORDER BY d.connection, d.currency, d.amount DESC NULLS LAST, deal, d.deal_key;
