-- Loss reasons: why do we lose deals, in each CRM and over all of them?
-- Reasons are compared without capitals and outer blanks. share is the part of the connection's lost deals;
-- everywhere counts the same reason in all CRMs.
-- Money: the account's main currency (currency); without_rate counts lost deals that have no amount in it, which
-- are left out of lost_amount. Days: none.
WITH lost AS (
    SELECT connection, amount, amount_main,
           coalesce(nullif(lower(trim(lost_reason)), ''), '(none given)') AS reason
    FROM crm.deals
    WHERE is_closed AND NOT is_won
),
by_connection AS (
    SELECT connection, reason, count(*) AS deals, round(sum(amount_main), 2) AS lost_amount,
           count(*) FILTER (WHERE amount IS NOT NULL AND amount_main IS NULL) AS without_rate
    FROM lost
    GROUP BY connection, reason
)
SELECT b.reason,
       b.connection,
       b.deals,
       round(b.deals / sum(b.deals) OVER (PARTITION BY b.connection), 3) AS share,
       CAST(sum(b.deals) OVER (PARTITION BY b.reason) AS BIGINT) AS everywhere,
       c.currency,
       b.lost_amount,
       b.without_rate
FROM by_connection AS b
JOIN ops.connections AS c ON c.connection = b.connection
ORDER BY everywhere DESC, b.reason, b.deals DESC, b.connection;
