-- Duplicate candidates: which contacts may be the same person, within one CRM and over all of them?
-- Contacts that share an e-mail address, be it the main one or another; capitals do not matter.
-- Money: none. Days: none.
WITH addresses AS (
    SELECT contact_key, lower(trim(email)) AS address FROM crm.contacts
    UNION
    SELECT contact_key, lower(trim(entry.value))
    FROM (SELECT contact_key, unnest(emails) AS entry FROM crm.contacts)
)
SELECT a.address,
       count(*) AS contacts,
       count(DISTINCT c.connection) AS connections,
       list(concat(coalesce(c.full_name, '(no name)'), ', ', c.connection)
            ORDER BY c.connection, c.full_name, c.contact_key) AS who
FROM addresses AS a
JOIN crm.contacts AS c ON c.contact_key = a.contact_key
WHERE a.address <> ''
GROUP BY a.address
HAVING count(*) > 1
ORDER BY contacts DESC, a.address;
