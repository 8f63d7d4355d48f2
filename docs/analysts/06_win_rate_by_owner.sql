-- Win rate by owner: closed deals, by number and by amount.
SELECT coalesce(u.full_name, d.owner_source_id) AS owner, d.currency,
       count(*) AS closed,
       count(*) FILTER (WHERE d.is_won) AS won,
       round(count(*) FILTER (WHERE d.is_won) / count(*), 3) AS win_rate,
       round(sum(d.amount::DOUBLE) FILTER (WHERE d.is_won) / sum(d.amount::DOUBLE), 3)
           AS win_rate_by_amount
FROM crm.deals AS d
LEFT JOIN crm.users AS u ON u.user_key = d.owner_key
WHERE d.is_closed
GROUP BY ALL
ORDER BY closed DESC, owner, d.currency;
