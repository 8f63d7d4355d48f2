-- Campaign attribution: which campaigns touched the people of the deals we won?
-- A won deal's amount is shared evenly among the campaigns in which one of its contacts answered before
-- the deal was closed.
WITH people AS (
    SELECT from_key AS deal_key, to_key AS contact_key
    FROM crm.associations
    WHERE from_table = 'deals' AND to_table = 'contacts'
    UNION
    SELECT deal_key, primary_contact_key FROM crm.deals WHERE primary_contact_key IS NOT NULL
),
touches AS (
    SELECT DISTINCT d.deal_key, d.amount, d.currency, m.campaign_key
    FROM crm.deals AS d
    JOIN people USING (deal_key)
    JOIN crm.campaign_members AS m USING (contact_key)
    WHERE d.is_won AND m.has_responded AND m.first_responded_on <= d.close_date
),
shares AS (
    SELECT *, amount::DOUBLE / count(*) OVER (PARTITION BY deal_key) AS share FROM touches
)
SELECT c.name AS campaign, s.currency,
       count(*) AS won_deals,
       round(sum(s.share), 2) AS attributed_amount,
       c.actual_cost AS cost,
       round(sum(s.share) / nullif(c.actual_cost::DOUBLE, 0), 2) AS return_on_cost
FROM shares AS s
JOIN crm.campaigns AS c USING (campaign_key)
GROUP BY c.campaign_key, c.name, c.actual_cost, s.currency
ORDER BY attributed_amount DESC, campaign;
