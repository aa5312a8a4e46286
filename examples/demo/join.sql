-- Whom the CRM knows, by names: contacts with their companies, deals and owners, as tap-appcrm brought them back.
SELECT
  contacts.display_name                     AS contact,
  string_agg(DISTINCT companies.name, ', ') AS company,
  string_agg(DISTINCT deals.name, ', ')     AS deal,
  users.name                                AS owner
FROM appcrm.contacts
LEFT JOIN appcrm.users ON users.id = contacts.user_id
LEFT JOIN appcrm.contact_associations AS linked ON linked.contact_id = contacts.id
LEFT JOIN appcrm.companies ON to_jsonb(linked.companies) @> to_jsonb(companies.id)
LEFT JOIN appcrm.deals ON to_jsonb(linked.deals) @> to_jsonb(deals.id)
WHERE contacts._sdc_deleted_at IS NULL
GROUP BY contacts.id, contacts.display_name, users.name
HAVING count(companies.id) + count(deals.id) > 0
ORDER BY contact;
