-- Runs by night: how many ended well, what they did, and what is still refused. Plans are told apart; a run without an
-- end was killed, or is still running.
SELECT
  left(runs.started_at::text, 10)                                    AS night,
  runs.planned,
  count(*)                                                           AS runs,
  count(*) FILTER (WHERE runs.exit_code = 0)                         AS ended_well,
  count(*) FILTER (WHERE runs.ended_at IS NULL)                      AS without_an_end,
  sum(runs.records)                                                  AS records,
  sum((runs.counts ->> 'reject')::int)                               AS rejects,
  max(runs.open_rejects)                                             AS open_rejects,
  round(100.0 * avg((runs.exit_code IS NOT DISTINCT FROM 0)::int), 1) AS percent_well
FROM appcrm.appcrm_runs AS runs
GROUP BY night, runs.planned
ORDER BY night DESC, runs.planned;
