-- Pipeline velocity: what does each owner's open pipeline earn a day?
-- Open deals x average amount of a won deal x win rate / average days from creation to winning. Won and lost
-- deals count if they were closed in the last 365 days. Archived open deals do not count; owners who left do.
-- Money: the account's main currency (currency); without_rate counts won deals that have no amount in it, and where
-- there are any, the amounts are NULL. Days: the account's own time zone.
WITH accounts AS (
    SELECT c.connection, c.currency, coalesce(c.time_zone, 'UTC') AS zone,
           CAST(p.published_at AT TIME ZONE coalesce(c.time_zone, 'UTC') AS DATE) AS today
    FROM ops.connections AS c
    CROSS JOIN ops.publication AS p
),
everyone AS (
    SELECT user_key, coalesce(full_name, email) AS name FROM crm.users
    UNION ALL
    SELECT user_key, coalesce(full_name, email) FROM crm.users_deleted
),
closed AS (
    SELECT d.connection, d.owner_key, d.owner_source_id, d.is_won, CAST(d.amount_main AS DOUBLE) AS amount,
           d.is_won AND d.amount IS NOT NULL AND d.amount_main IS NULL AS is_without_rate,
           d.close_date - CAST(d.created_at AT TIME ZONE a.zone AS DATE) AS days
    FROM crm.deals AS d
    JOIN accounts AS a ON a.connection = d.connection
    WHERE d.is_closed AND d.close_date > a.today - 365
),
history AS (
    SELECT connection, owner_key, owner_source_id,
           CASE WHEN count(*) FILTER (WHERE is_without_rate) = 0
                THEN avg(amount) FILTER (WHERE is_won) END AS won_amount,
           count(*) FILTER (WHERE is_without_rate) AS without_rate,
           count(*) FILTER (WHERE is_won) / count(*) AS win_rate,
           avg(days) FILTER (WHERE is_won) AS days_to_win
    FROM closed
    GROUP BY connection, owner_key, owner_source_id
),
pipeline AS (
    SELECT connection, owner_key, owner_source_id, count(*) AS open_deals
    FROM crm.deals
    WHERE NOT is_closed AND is_archived IS NOT TRUE
    GROUP BY connection, owner_key, owner_source_id
)
SELECT p.connection,
       coalesce(u.name, p.owner_source_id, '(nobody)') AS owner,
       p.open_deals,
       a.currency,
       round(h.won_amount, 2) AS average_won_amount,
       round(h.win_rate, 3) AS win_rate,
       round(h.days_to_win, 1) AS days_to_win,
       round(p.open_deals * h.won_amount * h.win_rate / nullif(h.days_to_win, 0), 2) AS amount_a_day,
       coalesce(h.without_rate, 0) AS without_rate
FROM pipeline AS p
JOIN accounts AS a ON a.connection = p.connection
LEFT JOIN history AS h
       ON h.connection = p.connection
      AND h.owner_key IS NOT DISTINCT FROM p.owner_key
      AND h.owner_source_id IS NOT DISTINCT FROM p.owner_source_id
LEFT JOIN everyone AS u ON u.user_key = p.owner_key
ORDER BY p.connection, amount_a_day DESC NULLS LAST, owner;
