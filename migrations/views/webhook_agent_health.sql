-- Deliveries of the last 24 hours that are over, by agent. Tests are not counted.
CREATE OR REPLACE VIEW webhook_agent_health AS
WITH day AS (
  SELECT d.agent_id,
         count(*) FILTER (WHERE recent)                                    AS deliveries_hour,
         count(*) FILTER (WHERE recent AND d.outcome = 'delivered')        AS delivered_hour,
         percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY d.total_ms) FILTER (WHERE recent) AS ms_hour,
         count(*)                                                          AS deliveries_day,
         count(*) FILTER (WHERE d.outcome = 'delivered')                   AS delivered_day,
         percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY d.total_ms) AS ms_day,
         max(d.claimed_at) FILTER (WHERE d.outcome <> 'delivered')         AS last_failure_at
    FROM (SELECT l.agent_id, l.outcome, l.total_ms, l.claimed_at,
                 l.claimed_at > now() - interval '1 hour' AS recent
            FROM webhook_deliveries l
           WHERE l.claimed_at > now() - interval '1 day'
             AND l.outcome <> 'in_flight'
             AND l.cause <> 'test') d
   GROUP BY d.agent_id)
SELECT day.agent_id,
       a.name                                                            AS agent_name,
       day.deliveries_hour,
       round(day.delivered_hour::numeric / nullif(day.deliveries_hour, 0), 4) AS success_rate_hour,
       day.ms_hour[1]::real                                              AS p50_ms_hour,
       day.ms_hour[2]::real                                              AS p95_ms_hour,
       day.deliveries_day,
       round(day.delivered_day::numeric / nullif(day.deliveries_day, 0), 4)   AS success_rate_day,
       day.ms_day[1]::real                                               AS p50_ms_day,
       day.ms_day[2]::real                                               AS p95_ms_day,
       day.last_failure_at,
       f.outcome                                                         AS last_failure_outcome,
       f.error                                                           AS last_failure_error
  FROM day
  LEFT JOIN webhook_agents a ON a.id = day.agent_id
  LEFT JOIN LATERAL (
         SELECT d.outcome, d.error
           FROM webhook_deliveries d
          WHERE d.agent_id = day.agent_id
            AND d.claimed_at = day.last_failure_at
            AND d.outcome NOT IN ('delivered', 'in_flight')
            AND d.cause <> 'test'
          ORDER BY d.id DESC
          LIMIT 1) f ON true;
COMMENT ON VIEW webhook_agent_health IS
  'Each agent with deliveries in the last 24 hours: how many, the share that was delivered, how long they took, the last failure';
