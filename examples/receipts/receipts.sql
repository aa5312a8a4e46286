-- What was changed for whom by which run, or only planned, and why it was refused: the newest first, what was equal
-- left out.
SELECT
  receipts.at,
  receipts.operation,
  receipts.key ->> 'email' AS email,
  receipts.contact_id,
  change.key               AS field,
  change.value -> 0        AS old_value,
  change.value -> 1        AS new_value,
  receipts.reason,
  receipts.planned,
  receipts.run_id
FROM appcrm.appcrm_receipts AS receipts
-- A receipt without changes holds the null of JSON there, not that of SQL.
LEFT JOIN LATERAL jsonb_each(
  CASE WHEN jsonb_typeof(receipts.changes) = 'object' THEN receipts.changes END
) AS change ON receipts.operation <> 'create'
WHERE receipts.operation <> 'unchanged'
ORDER BY receipts.at DESC, receipts.n DESC, email, field;
