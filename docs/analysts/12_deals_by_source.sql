-- Deals by source: where do won and lost deals come from, what are they worth, and how long do they take?
-- Money: the account's main currency (currency); deals without an amount in it are counted, not summed.
-- Days: from creation to closing, in the account's own time zone.
SELECT d.connection,
       coalesce(d.source, '(unknown)') AS source,
       count(*) FILTER (WHERE d.is_won) AS won,
       count(*) FILTER (WHERE NOT d.is_won) AS lost,
       round(count(*) FILTER (WHERE d.is_won) / count(*), 3) AS win_rate,
       c.currency,
       sum(d.amount_main) FILTER (WHERE d.is_won) AS won_amount,
       sum(d.amount_main) FILTER (WHERE NOT d.is_won) AS lost_amount,
       median(d.close_date - CAST(d.created_at AT TIME ZONE coalesce(c.time_zone, 'UTC') AS DATE)) AS median_days
FROM crm.deals AS d
JOIN ops.connections AS c ON c.connection = d.connection
WHERE d.is_closed
GROUP BY d.connection, coalesce(d.source, '(unknown)'), c.currency
ORDER BY d.connection, won_amount DESC NULLS LAST, source;
