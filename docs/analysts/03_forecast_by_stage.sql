-- Forecast by stage: what is expected to close in which month, plain and weighted by probability?
SELECT strftime(d.close_date, '%Y-%m') AS month, d.stage, d.currency,
       count(*) AS deals,
       sum(d.amount) AS amount,
       round(sum(d.amount::DOUBLE * coalesce(d.probability, s.probability) / 100), 2) AS weighted,
       count(*) FILTER (WHERE d.close_date < (SELECT published_at::DATE FROM ops.publication))
           AS overdue
FROM crm.deals AS d
LEFT JOIN crm.stages AS s
       ON s.connection = d.connection AND s.name = d.stage AND s.pipeline_key = d.pipeline_key
WHERE NOT d.is_closed
GROUP BY month, d.stage, d.currency, s.position
ORDER BY month, s.position, d.stage, d.currency;
