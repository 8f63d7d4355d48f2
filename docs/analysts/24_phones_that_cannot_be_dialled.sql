-- Phones that cannot be dialled: which numbers are no numbers, whose are they, and why?
-- Every number of every live contact, company, lead and user, not only the main one. region is the country by which a
-- number without a country code was read; NULL or empty: none is known.
-- Money: none. Days: none.
WITH names AS (
    SELECT contact_key AS record_key, full_name AS name FROM crm.contacts
    UNION ALL
    SELECT company_key, name FROM crm.companies
    UNION ALL
    SELECT lead_key, coalesce(full_name, name) FROM crm.leads
    UNION ALL
    SELECT user_key, full_name FROM crm.users
)
SELECT p.connection,
       p.table_name,
       p.record_key,
       n.name,
       p.label,
       p.value AS phone,
       nullif(p.region, '') AS region,
       array_to_string(p.reasons, ', ') AS reasons
FROM crm.contact_points AS p
LEFT JOIN names AS n ON n.record_key = p.record_key
WHERE p.kind = 'phone' AND p.verdict = 'invalid'
ORDER BY p.connection, p.table_name, p.record_key, p."position";
