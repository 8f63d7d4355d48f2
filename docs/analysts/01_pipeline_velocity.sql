-- Pipeline velocity: what does each owner's pipeline earn a day?
-- Open deals x average won amount x win rate / average days from creation to winning; closed deals of
-- the last 365 days. One line per owner and currency.
WITH closed AS (
    SELECT owner_key, currency, is_won, amount,
           date_diff('day', created_at::DATE, close_date) AS days
    FROM crm.deals
    WHERE is_closed AND close_date > (SELECT published_at::DATE - 365 FROM ops.publication)
),
history AS (
    SELECT owner_key, currency,
           avg(amount::DOUBLE) FILTER (WHERE is_won) AS won_amount,
           count(*) FILTER (WHERE is_won) / count(*) AS win_rate,
           avg(days) FILTER (WHERE is_won) AS days_to_win
    FROM closed
    GROUP BY ALL
),
pipeline AS (
    SELECT owner_key, currency, count(*) AS open_deals
    FROM crm.deals
    WHERE NOT is_closed
    GROUP BY ALL
)
SELECT u.full_name AS owner, p.currency, p.open_deals,
       round(h.won_amount, 2) AS average_won_amount,
       round(h.win_rate, 3) AS win_rate,
       round(h.days_to_win, 1) AS days_to_win,
       round(p.open_deals * h.won_amount * h.win_rate / nullif(h.days_to_win, 0), 2) AS amount_a_day
FROM pipeline AS p
LEFT JOIN history AS h
       ON h.owner_key = p.owner_key AND h.currency IS NOT DISTINCT FROM p.currency
LEFT JOIN crm.users AS u ON u.user_key = p.owner_key
ORDER BY amount_a_day DESC NULLS LAST, owner;
