-- One currency: what are won deals worth in the main currency of their CRM, at the rate of their day?
WITH won AS (
    SELECT d.connection, d.amount, (
               SELECT arg_max(r.rate, coalesce(r.starts_on, DATE '0001-01-01'))
               FROM crm.exchange_rates r
               WHERE r.connection = d.connection AND r.currency = d.currency
                 AND (r.starts_on IS NULL OR r.starts_on <= d.close_date)
                 AND (r.ends_on IS NULL OR d.close_date < r.ends_on)
           ) AS own_rate
    FROM crm.deals d
    WHERE d.is_won
)
SELECT won.connection, max(main.currency) AS currency, count(*) AS deals,
       count(*) FILTER (WHERE own_rate IS NULL) AS without_rate,
       round(sum(amount / own_rate), 2)::DOUBLE AS won_amount
FROM won
LEFT JOIN crm.exchange_rates main ON main.connection = won.connection AND main.is_main
GROUP BY won.connection
ORDER BY won.connection;
