-- The warehouse of a music shop: what its till wrote (shop), what the CRM needs (model).

CREATE SCHEMA shop;

CREATE TABLE shop.customers (
  customer_id    integer PRIMARY KEY,
  first_name     text NOT NULL,
  last_name      text NOT NULL,
  company        text,
  address        text,
  city           text,
  state          text,
  country        text,
  postal_code    text,
  phone          text,
  fax            text,
  email          text NOT NULL UNIQUE,
  support_rep_id integer,
  -- clock_timestamp() and not now(): each row has a moment of its own, so a bookmark ends at one row, not at all.
  updated_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE shop.invoices (
  invoice_id      integer PRIMARY KEY,
  customer_id     integer NOT NULL REFERENCES shop.customers,
  invoice_date    timestamptz NOT NULL,
  total           numeric(10, 2) NOT NULL,
  billing_country text,
  loaded_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The shop's own people, by the e-mail address with which they log in to the CRM.
CREATE TABLE shop.support_reps (
  support_rep_id integer PRIMARY KEY,
  email          text NOT NULL
);

CREATE SCHEMA model;

-- One row a contact, in the CRM's own words: every column is a field that target-appcrm writes, but for changed_at,
-- the replication key, which meltano.yml's stream map takes out again.
CREATE VIEW model.contacts AS
WITH orders AS (
  SELECT
    customer_id,
    sum(total)        AS lifetime_value,
    max(invoice_date) AS last_order_at,
    max(loaded_at)    AS loaded_at
  FROM shop.invoices
  GROUP BY customer_id
)
SELECT
  customers.email,
  -- Some texts of the till end in a space. The CRM stores none, so the model has none either.
  trim(customers.first_name)  AS first_name,
  trim(customers.last_name)   AS last_name,
  trim(customers.address)     AS street,
  trim(customers.city)        AS city,
  trim(customers.state)       AS state,
  trim(customers.postal_code) AS postal_code,
  -- A fax that is the phone once more is left out: the CRM takes each number once.
  (
    SELECT coalesce(jsonb_agg(jsonb_build_object('number', number, 'type', type) ORDER BY type DESC), '[]')
    FROM (VALUES (customers.phone, 'work'), (nullif(customers.fax, customers.phone), 'other')) AS phones (number, type)
    WHERE number IS NOT NULL
  ) AS phones,
  -- [] empties a list in the CRM, null leaves it alone: the model says which it means.
  array_remove(
    ARRAY['music shop', customers.country, CASE WHEN orders.lifetime_value >= 45 THEN 'top customer' END],
    NULL
  ) AS tags,
  -- Names and addresses, not ids: the target finds the company and the owner in whichever CRM it writes to.
  array_remove(ARRAY[trim(customers.company)], NULL) AS companies,
  support_reps.email                 AS user_id,
  coalesce(orders.lifetime_value, 0) AS cf_lifetime_value,
  orders.last_order_at               AS cf_last_order_at,
  customers.customer_id              AS cf_chinook_id,
  -- The latest of all that the row is made of: a new invoice changes a contact too.
  greatest(customers.updated_at, orders.loaded_at) AS changed_at
FROM shop.customers
LEFT JOIN orders USING (customer_id)
LEFT JOIN shop.support_reps USING (support_rep_id);
