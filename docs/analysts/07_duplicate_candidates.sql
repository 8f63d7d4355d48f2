-- Duplicate candidates: contacts that share an e-mail address, over all connections.
SELECT lower(trim(email)) AS address,
       count(*) AS contacts,
       count(DISTINCT connection) AS connections,
       list(contact_key ORDER BY created_at, contact_key) AS keys
FROM crm.contacts
WHERE email IS NOT NULL
GROUP BY address
HAVING count(*) > 1
ORDER BY contacts DESC, address;
