-- Mistyped addresses: which addresses look mistyped, and which were probably meant?
-- Nothing is corrected: somebody who knows the person has to look. is_known says whether a live record has the
-- suggested address already, which makes it likely, and the two records perhaps one person.
-- Money: none. Days: none.
WITH names AS (
    SELECT contact_key AS record_key, full_name AS name FROM crm.contacts
    UNION ALL
    SELECT lead_key, coalesce(full_name, name) FROM crm.leads
    UNION ALL
    SELECT user_key, full_name FROM crm.users
)
SELECT p.connection,
       p.table_name,
       p.record_key,
       n.name,
       p.value AS email,
       p.suggestion,
       p.verdict,
       lower(p.suggestion) IN (
           SELECT lower(normalized) FROM crm.contact_points WHERE kind = 'email' AND normalized IS NOT NULL
       ) AS is_known
FROM crm.contact_points AS p
LEFT JOIN names AS n ON n.record_key = p.record_key
WHERE p.kind = 'email' AND p.suggestion IS NOT NULL
ORDER BY is_known DESC, p.suggestion, p.connection, p.record_key, p."position";
