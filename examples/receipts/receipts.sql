-- What was changed for whom, when, and why it was refused: the newest first, what was equal left out.
SELECT
  receipts.at,
  receipts.operation,
  receipts.key ->> 'email' AS email,
  receipts.contact_id,
  change.key               AS field,
  change.value -> 0        AS old_value,
  change.value -> 1        AS new_value,
  receipts.reason
FROM appcrm.appcrm_receipts AS receipts
LEFT JOIN LATERAL jsonb_each(receipts.changes) AS change ON receipts.operation <> 'create'
WHERE receipts.operation <> 'unchanged'
ORDER BY receipts.at DESC, email, field;
