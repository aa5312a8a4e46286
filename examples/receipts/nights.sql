-- Success by night (UTC): runs that wrote, those that failed or never ended, and the share of their records that was
-- not refused. Dry runs are left out.
SELECT
  runs.started_at::date                                                       AS night,
  count(*)                                                                    AS runs,
  count(*) FILTER (WHERE runs.exit_code <> 0)                                 AS failed,
  count(*) FILTER (WHERE runs.ended_at IS NULL)                               AS never_ended,
  sum(runs.records)                                                           AS records,
  sum((runs.counts ->> 'reject')::bigint)                                     AS rejected,
  round(100 - 100.0 * sum((runs.counts ->> 'reject')::bigint) / nullif(sum(runs.records), 0), 1) AS success_percent,
  sum(runs.requests)                                                          AS requests,
  round(sum(runs.waited_seconds)::numeric / 60, 1)                            AS waited_minutes
FROM appcrm.appcrm_runs AS runs
WHERE NOT runs.planned
GROUP BY night
ORDER BY night DESC;
