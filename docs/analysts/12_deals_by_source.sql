-- Sources: where do won and lost deals come from, and how long do they take?
SELECT coalesce(source, '(unknown)') AS source, currency,
       count(*) FILTER (WHERE is_won) AS won,
       count(*) FILTER (WHERE NOT is_won) AS lost,
       sum(amount) FILTER (WHERE is_won) AS won_amount,
       sum(amount) FILTER (WHERE NOT is_won) AS lost_amount,
       median(date_diff('day', created_at::DATE, close_date)) AS median_days
FROM crm.deals
WHERE is_closed
GROUP BY ALL
ORDER BY won_amount DESC NULLS LAST, source, currency;
