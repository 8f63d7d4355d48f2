-- Campaign attribution: which campaigns earned the deals we won?
-- A won deal's amount is shared evenly among the campaigns in which one of its contacts answered, as a contact or
-- as the lead it was, no later than the day of closing. Where there is none, the campaign that the deal itself
-- names gets all of it. Deals without either are not shown; HubSpot and Pipedrive have no such campaigns. Zoho
-- does not say which members answered, and they are not read unless connections.yaml lists CampaignMembers: its
-- deals are credited to the campaign that they name.
-- Money: the account's main currency (currency); without_rate counts won deals that have no amount in it. The cost
-- is in the campaign's own (cost_currency), and the return stands only where both are the same and all deals have
-- a rate. Days: the account's own time zone.
WITH answered AS (
    SELECT campaign_key, contact_key, first_responded_on
    FROM crm.campaign_members
    WHERE has_responded AND contact_key IS NOT NULL
    UNION ALL
    SELECT m.campaign_key, l.converted_contact_key, m.first_responded_on
    FROM crm.campaign_members AS m
    JOIN crm.leads AS l ON l.lead_key = m.lead_key
    WHERE m.has_responded AND m.contact_key IS NULL
),
won AS (
    SELECT deal_key, connection, close_date, campaign_key, CAST(amount_main AS DOUBLE) AS amount,
           amount IS NOT NULL AND amount_main IS NULL AS is_without_rate
    FROM crm.deals
    WHERE is_won
),
touches AS (
    SELECT DISTINCT won.deal_key, answered.campaign_key
    FROM won
    JOIN crm.deal_contacts AS people ON people.deal_key = won.deal_key
    JOIN answered ON answered.contact_key = people.contact_key
    WHERE answered.first_responded_on <= won.close_date
),
credits AS (
    SELECT deal_key, campaign_key FROM touches
    UNION ALL
    SELECT deal_key, campaign_key
    FROM won
    WHERE campaign_key IS NOT NULL AND deal_key NOT IN (SELECT deal_key FROM touches)
),
shares AS (
    SELECT won.connection, credits.campaign_key, won.is_without_rate,
           won.amount / count(*) OVER (PARTITION BY credits.deal_key) AS share
    FROM credits
    JOIN won ON won.deal_key = credits.deal_key
),
campaigns AS (
    SELECT campaign_key, name, actual_cost, currency FROM crm.campaigns
    UNION ALL
    SELECT campaign_key, name, actual_cost, currency FROM crm.campaigns_deleted
)
SELECT s.connection,
       coalesce(c.name, s.campaign_key) AS campaign,
       count(*) AS won_deals,
       a.currency,
       round(sum(s.share), 2) AS attributed_amount,
       c.actual_cost AS cost,
       coalesce(c.currency, a.currency) AS cost_currency,
       CASE WHEN coalesce(c.currency, a.currency) = a.currency AND count(*) FILTER (WHERE s.is_without_rate) = 0
            THEN round(sum(s.share) / nullif(CAST(c.actual_cost AS DOUBLE), 0), 2) END AS return_on_cost,
       count(*) FILTER (WHERE s.is_without_rate) AS without_rate
FROM shares AS s
JOIN ops.connections AS a ON a.connection = s.connection
LEFT JOIN campaigns AS c ON c.campaign_key = s.campaign_key
GROUP BY s.connection, s.campaign_key, c.name, c.actual_cost, c.currency, a.currency
ORDER BY s.connection, attributed_amount DESC NULLS LAST, campaign;
