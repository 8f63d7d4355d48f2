-- Deals by source: where do won and lost deals come from, what are they worth, and how long do they take?
-- Money: the account's main currency (currency); without_rate counts closed deals that have no amount in it, which
-- are left out of both amounts.
-- Days: from creation to closing, in the account's own time zone.
SELECT d.connection,
       coalesce(d.source, '(unknown)') AS source,
       count(*) FILTER (WHERE d.is_won) AS won,
       count(*) FILTER (WHERE NOT d.is_won) AS lost,
       round(count(*) FILTER (WHERE d.is_won) / count(*), 3) AS win_rate,
       c.currency,
       round(sum(d.amount_main) FILTER (WHERE d.is_won), 2) AS won_amount,
       round(sum(d.amount_main) FILTER (WHERE NOT d.is_won), 2) AS lost_amount,
       count(*) FILTER (WHERE d.amount IS NOT NULL AND d.amount_main IS NULL) AS without_rate,
       median(d.close_date - CAST(d.created_at AT TIME ZONE coalesce(c.time_zone, 'UTC') AS DATE)) AS median_days
FROM crm.deals AS d
JOIN ops.connections AS c ON c.connection = d.connection
WHERE d.is_closed
GROUP BY d.connection, coalesce(d.source, '(unknown)'), c.currency
ORDER BY d.connection, won_amount DESC NULLS LAST, source;
