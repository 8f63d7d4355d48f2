-- Win rate over time: is our share of won deals growing, quarter by quarter of closing?
-- Money: the account's main currency (currency). Days: quarters of the calendar, of the account's own days.
SELECT d.connection,
       concat(year(d.close_date), '-Q', quarter(d.close_date)) AS quarter,
       count(*) AS closed,
       count(*) FILTER (WHERE d.is_won) AS won,
       round(count(*) FILTER (WHERE d.is_won) / count(*), 3) AS win_rate,
       c.currency,
       sum(d.amount_main) FILTER (WHERE d.is_won) AS won_amount
FROM crm.deals AS d
JOIN ops.connections AS c ON c.connection = d.connection
WHERE d.is_closed AND d.close_date IS NOT NULL
GROUP BY d.connection, concat(year(d.close_date), '-Q', quarter(d.close_date)), c.currency
ORDER BY d.connection, quarter;
