-- Customers as the warehouse knows them beside what the CRM holds of them: who owns whom, who is missing, who is gone.
CREATE SCHEMA IF NOT EXISTS report;

DROP TABLE IF EXISTS report.customers;

CREATE TABLE report.customers AS
SELECT DISTINCT ON (lower(model.email))
  lower(model.email)          AS email,
  model.cf_lifetime_value     AS lifetime_value,
  crm.id                      AS contact_id,
  crm.user_id                 AS owner_id,
  crm.updated_at              AS changed_in_crm_at,
  crm.id IS NOT NULL          AS in_crm
FROM model.contacts AS model
LEFT JOIN appcrm.contacts AS crm
  ON lower(crm.email) = lower(model.email) AND crm._sdc_deleted_at IS NULL
ORDER BY lower(model.email), crm.id DESC;
