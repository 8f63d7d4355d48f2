-- One currency: what are won deals worth in the main currency of their CRM?
-- Money: the account's main currency (currency). amount_main is the CRM's own where the CRM computes one, else the
-- amount at the rate that rate_on tells. Deals whose rate nobody knows are counted (without_rate), not summed.
-- Days: first_rate_on and last_rate_on are first days of the rates used; NULL where the CRM keeps no dates.
SELECT d.connection,
       c.currency,
       count(*) AS won_deals,
       count(DISTINCT d.currency) AS currencies,
       count(*) FILTER (WHERE d.amount IS NOT NULL AND d.amount_main IS NULL) AS without_rate,
       round(sum(d.amount_main), 2) AS won_amount,
       min(d.rate_on) AS first_rate_on,
       max(d.rate_on) AS last_rate_on
FROM crm.deals AS d
JOIN ops.connections AS c ON c.connection = d.connection
WHERE d.is_won
GROUP BY d.connection, c.currency
ORDER BY d.connection;
