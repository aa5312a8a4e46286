-- Open rejects: records whose last word, in all runs that wrote, was a refusal; the longest refused first.
-- A record that was accepted since, or of whose key a newer one was, is not open any more.
WITH decided AS (
  SELECT
    receipts.*,
    row_number() OVER one_record AS place
  FROM appcrm.appcrm_receipts AS receipts
  WHERE NOT receipts.planned AND jsonb_typeof(receipts.key) = 'object'
  -- A record may have several receipts, of which the last says what became of it.
  WINDOW one_record AS (PARTITION BY receipts.stream, receipts.key, receipts.run_id, receipts.record_number
                        ORDER BY receipts.n DESC)
),
records AS (
  SELECT
    decided.*,
    row_number() OVER (PARTITION BY stream, key ORDER BY at DESC, n DESC) AS age,
    max(at) FILTER (WHERE operation <> 'reject') OVER (PARTITION BY stream, key) AS accepted_at
  FROM decided
  WHERE place = 1
)
SELECT
  last.stream,
  last.key ->> 'email'                                    AS email,
  last.key,
  coalesce(last.cause, last.reason)                       AS cause,
  last.reason,
  min(refused.at)                                         AS refused_since,
  count(*)                                                AS times,
  last.run_id                                             AS last_run
FROM records AS last
JOIN records AS refused
  ON refused.stream = last.stream AND refused.key = last.key AND refused.operation = 'reject'
 AND (last.accepted_at IS NULL OR refused.at > last.accepted_at)
WHERE last.age = 1 AND last.operation = 'reject'
GROUP BY last.stream, last.key, last.cause, last.reason, last.run_id
ORDER BY refused_since, email;
