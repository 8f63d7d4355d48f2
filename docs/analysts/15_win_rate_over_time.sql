-- Win rate over time: is our share of won deals growing, quarter by quarter of closing?
-- Money: the account's main currency (currency); without_rate counts won deals that have no amount in it, which are
-- left out of won_amount. Days: quarters of the calendar, of the account's own days.
SELECT d.connection,
       concat(year(d.close_date), '-Q', quarter(d.close_date)) AS quarter,
       count(*) AS closed,
       count(*) FILTER (WHERE d.is_won) AS won,
       round(count(*) FILTER (WHERE d.is_won) / count(*), 3) AS win_rate,
       c.currency,
       round(sum(d.amount_main) FILTER (WHERE d.is_won), 2) AS won_amount,
       count(*) FILTER (WHERE d.is_won AND d.amount IS NOT NULL AND d.amount_main IS NULL) AS without_rate
FROM crm.deals AS d
JOIN ops.connections AS c ON c.connection = d.connection
WHERE d.is_closed AND d.close_date IS NOT NULL
GROUP BY d.connection, concat(year(d.close_date), '-Q', quarter(d.close_date)), c.currency
ORDER BY d.connection, quarter;
