-- Win rate by owner: who wins what share of the deals, by number and by amount?
-- Owners who left stand there too (has_left), and so do deals of nobody and of queues.
-- Money: the account's main currency (currency); without_rate counts closed deals that have no amount in it, which
-- are left out of both amounts. Days: none.
WITH everyone AS (
    SELECT user_key, coalesce(full_name, email) AS name, is_active FROM crm.users
    UNION ALL
    SELECT user_key, coalesce(full_name, email), false FROM crm.users_deleted
)
SELECT d.connection,
       coalesce(u.name, d.owner_source_id, '(nobody)') AS owner,
       NOT u.is_active AS has_left,
       count(*) AS closed,
       count(*) FILTER (WHERE d.is_won) AS won,
       round(count(*) FILTER (WHERE d.is_won) / count(*), 3) AS win_rate,
       c.currency,
       round(sum(d.amount_main) FILTER (WHERE d.is_won), 2) AS won_amount,
       round(coalesce(sum(CAST(d.amount_main AS DOUBLE)) FILTER (WHERE d.is_won), 0)
             / nullif(sum(CAST(d.amount_main AS DOUBLE)), 0), 3) AS win_rate_by_amount,
       count(*) FILTER (WHERE d.amount IS NOT NULL AND d.amount_main IS NULL) AS without_rate
FROM crm.deals AS d
JOIN ops.connections AS c ON c.connection = d.connection
LEFT JOIN everyone AS u ON u.user_key = d.owner_key
WHERE d.is_closed
GROUP BY d.connection, d.owner_key, d.owner_source_id, u.name, u.is_active, c.currency
ORDER BY d.connection, won_amount DESC NULLS LAST, closed DESC, owner;
