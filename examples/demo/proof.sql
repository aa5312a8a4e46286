-- The same people on all sides? Three views of one form (email, person), and the fields in which they differ:
--   model   what the warehouse says that the CRM should hold
--   crm     what the CRM's own API answers, asked contact by contact, without the tap
--   loaded  what the tap and the loader brought back into the warehouse

-- [{number, type}, ...] without ids, in one order.
CREATE FUNCTION proof.phones(jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(
    jsonb_agg(jsonb_build_object('number', phone ->> 'number', 'type', phone ->> 'type') ORDER BY phone ->> 'number'),
    '[]'
  )
  FROM jsonb_array_elements($1) AS phone
$$;

-- Tags and companies as names, be they plain or objects, in one order.
CREATE FUNCTION proof.sorted_list(jsonb, member text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(jsonb_agg(value ORDER BY value), '[]')
  FROM (
    SELECT CASE jsonb_typeof(item) WHEN 'object' THEN item -> member ELSE item END AS value
    FROM jsonb_array_elements(coalesce($1, '[]')) AS item
  ) AS items
$$;

CREATE FUNCTION proof.person(
  contact jsonb, phones jsonb, tags jsonb, companies jsonb, owner text, lifetime_value numeric, last_order_at timestamp
) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object(
    'first_name', contact -> 'first_name',
    'last_name', contact -> 'last_name',
    'street', contact -> 'street',
    'city', contact -> 'city',
    'state', contact -> 'state',
    'postal_code', contact -> 'postal_code',
    'phones', proof.phones(phones),
    'tags', proof.sorted_list(tags, 'name'),
    'companies', proof.sorted_list(companies, 'name'),
    'owner', owner,
    'cf_lifetime_value', lifetime_value::numeric(10, 2),
    'cf_last_order_at', last_order_at,
    'cf_chinook_id', (contact ->> 'cf_chinook_id')::integer
  )
$$;

CREATE VIEW proof.model AS
SELECT
  lower(email) AS email,
  proof.person(
    to_jsonb(contacts), phones, to_jsonb(tags), to_jsonb(companies), user_id, cf_lifetime_value,
    cf_last_order_at AT TIME ZONE 'UTC'
  ) AS person,
  NULL::text AS job_title
FROM model.contacts;

CREATE VIEW proof.crm AS
SELECT
  lower(contact ->> 'email') AS email,
  proof.person(
    contact, contact -> 'phones', contact -> 'tags', contact -> 'companies', contact ->> 'owner_email',
    (contact ->> 'cf_lifetime_value')::numeric,
    (contact ->> 'cf_last_order_at')::timestamptz AT TIME ZONE 'UTC'
  ) AS person,
  contact ->> 'job_title' AS job_title
FROM proof.crm_answers;

CREATE VIEW proof.loaded AS
SELECT
  lower(contacts.email) AS email,
  proof.person(
    to_jsonb(contacts), to_jsonb(contacts.phones), to_jsonb(contacts.tags),
    (SELECT jsonb_agg(name) FROM appcrm.companies WHERE to_jsonb(linked.companies) @> to_jsonb(companies.id)),
    users.email, contacts.cf_lifetime_value::numeric, contacts.cf_last_order_at::timestamp
  ) AS person,
  contacts.job_title
FROM appcrm.contacts
LEFT JOIN appcrm.users ON users.id = contacts.user_id
LEFT JOIN appcrm.contact_associations AS linked ON linked.contact_id = contacts.id;

CREATE VIEW proof.differences AS
WITH sides AS (
  SELECT
    email,
    model.person AS model,
    -- The job title is the CRM's own field: the model does not know it, the table that came back must.
    crm.person || jsonb_build_object('job_title', crm.job_title) AS crm,
    loaded.person || jsonb_build_object('job_title', loaded.job_title) AS loaded
  FROM proof.model
  FULL JOIN proof.crm USING (email)
  FULL JOIN proof.loaded USING (email)
),

fields AS (
  SELECT DISTINCT email, field
  FROM sides, jsonb_object_keys(coalesce(crm, '{}') || coalesce(loaded, '{}') || coalesce(model, '{}')) AS field
)

SELECT
  email,
  field,
  format('model %s, CRM %s, loaded %s', model -> field, crm -> field, loaded -> field) AS sides
FROM fields
JOIN sides USING (email)
WHERE
  crm -> field IS DISTINCT FROM loaded -> field
  OR (field <> 'job_title' AND model -> field IS DISTINCT FROM crm -> field);
