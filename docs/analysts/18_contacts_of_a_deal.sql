-- Contacts of a deal: who is involved in each open deal, and in what role?
-- One line per contact, the main one first; a deal without contacts has one line without a name. Roles that
-- nobody gave are NULL.
-- For one deal add: AND d.name = '...'. Money: the deal's own currency (currency). Days: none.
WITH people AS (
    SELECT contact_key, full_name, title, email FROM crm.contacts
)
SELECT d.connection,
       d.name AS deal,
       co.name AS company,
       d.amount,
       d.currency,
       p.full_name AS contact,
       p.title,
       p.email,
       nullif(array_to_string(list_sort(dc.roles), ', '), '') AS roles,
       dc.is_primary
FROM crm.deals AS d
LEFT JOIN crm.companies AS co ON co.company_key = d.company_key
LEFT JOIN crm.deal_contacts AS dc ON dc.deal_key = d.deal_key
LEFT JOIN people AS p ON p.contact_key = dc.contact_key
WHERE NOT d.is_closed AND d.is_archived IS NOT TRUE
ORDER BY d.connection, deal, d.deal_key, dc.is_primary DESC NULLS LAST, contact, dc.contact_key;
