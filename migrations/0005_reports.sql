-- Views for people and for the metrics (CONTRACT §4).

CREATE VIEW webhook_failures AS
SELECT d.claimed_at,
       d.agent_id,
       a.name AS agent_name,
       d.call_id,
       d.cause,
       d.outcome,
       d.reached,
       d.http_status,
       d.error,
       d.url,
       d.response_body,
       d.remote_address,
       d.total_ms,
       d.enqueued_at,
       d.finished_at,
       d.dispatcher,
       d.id,
       d.claim_id
  FROM webhook_deliveries d
  LEFT JOIN webhook_agents a ON a.id = d.agent_id
 WHERE d.outcome NOT IN ('delivered', 'in_flight')
 ORDER BY d.claimed_at DESC;
COMMENT ON VIEW webhook_failures IS 'Deliveries that are over and were not delivered, newest first';

-- Of what is over; tests are not counted.
CREATE VIEW webhook_agent_health AS
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
  'Each agent with deliveries in the last 24 hours: how many, which part was delivered, how long they took, the last failure';

-- Completions that were ever enqueued, as far back as the ledger goes, and where they are. Closed hours come
-- from webhook_summary; the open ones are counted. Each bound has its counterpart, even if that is infinity:
-- the planner then expects a small part of the tables, and neither reads all of them nor compiles the query.
CREATE VIEW webhook_reconciliation AS
WITH edge AS MATERIALIZED (
  SELECT min(o.opens_at) AS opens_at,
         max(o.opens_at) AS all_open_at,  -- from here on no hour is closed
         timestamptz 'infinity' AS ends_at
    FROM webhook_open_hours o),
closed AS (
  SELECT coalesce(sum(enqueued), 0)::bigint      AS enqueued,
         coalesce(sum(delivered), 0)::bigint     AS delivered,
         coalesce(sum(rejected), 0)::bigint      AS rejected,
         coalesce(sum(timeout), 0)::bigint       AS timeout,
         coalesce(sum(dns_error), 0)::bigint     AS dns_error,
         coalesce(sum(connect_error), 0)::bigint AS connect_error,
         coalesce(sum(tls_error), 0)::bigint     AS tls_error,
         coalesce(sum(network_error), 0)::bigint AS network_error,
         coalesce(sum(blocked), 0)::bigint       AS blocked,
         coalesce(sum(invalid_url), 0)::bigint   AS invalid_url,
         coalesce(sum(skipped), 0)::bigint       AS skipped,
         coalesce(sum(not_sent), 0)::bigint      AS not_sent,
         coalesce(sum(unknown), 0)::bigint       AS unknown
    FROM webhook_summary),
ledger AS (
  SELECT count(*) AS enqueued
    FROM webhook_enqueued e
   WHERE e.enqueued_at >= (SELECT opens_at FROM edge)
     AND e.enqueued_at < (SELECT ends_at FROM edge)
     AND (e.enqueued_at >= (SELECT all_open_at FROM edge)
          OR date_trunc('hour', e.enqueued_at, 'UTC') NOT IN (SELECT hour FROM webhook_summary))),
outbox AS (
  SELECT count(*) AS waiting
    FROM webhook_outbox
   WHERE cause = 'completion'),
log AS (
  SELECT count(*) FILTER (WHERE outcome = 'in_flight')     AS in_flight,
         count(*) FILTER (WHERE outcome = 'delivered')     AS delivered,
         count(*) FILTER (WHERE outcome = 'rejected')      AS rejected,
         count(*) FILTER (WHERE outcome = 'timeout')       AS timeout,
         count(*) FILTER (WHERE outcome = 'dns_error')     AS dns_error,
         count(*) FILTER (WHERE outcome = 'connect_error') AS connect_error,
         count(*) FILTER (WHERE outcome = 'tls_error')     AS tls_error,
         count(*) FILTER (WHERE outcome = 'network_error') AS network_error,
         count(*) FILTER (WHERE outcome = 'blocked')       AS blocked,
         count(*) FILTER (WHERE outcome = 'invalid_url')   AS invalid_url,
         count(*) FILTER (WHERE outcome = 'skipped')       AS skipped,
         count(*) FILTER (WHERE outcome = 'not_sent')      AS not_sent,
         count(*) FILTER (WHERE outcome = 'unknown')       AS unknown
    FROM webhook_deliveries d
   WHERE d.cause = 'completion'
     AND d.enqueued_at >= (SELECT opens_at FROM edge)
     AND d.enqueued_at < (SELECT ends_at FROM edge)
     AND d.claimed_at >= (SELECT opens_at - interval '1 hour' FROM edge)  -- earlier days are not read
     AND d.claimed_at < (SELECT ends_at FROM edge)
     AND (d.enqueued_at >= (SELECT all_open_at FROM edge)
          OR date_trunc('hour', d.enqueued_at, 'UTC') NOT IN (SELECT hour FROM webhook_summary))),
total AS (
  SELECT c.enqueued      + l.enqueued      AS enqueued,
         o.waiting,
         d.in_flight,
         c.delivered     + d.delivered     AS delivered,
         c.rejected      + d.rejected      AS rejected,
         c.timeout       + d.timeout       AS timeout,
         c.dns_error     + d.dns_error     AS dns_error,
         c.connect_error + d.connect_error AS connect_error,
         c.tls_error     + d.tls_error     AS tls_error,
         c.network_error + d.network_error AS network_error,
         c.blocked       + d.blocked       AS blocked,
         c.invalid_url   + d.invalid_url   AS invalid_url,
         c.skipped       + d.skipped       AS skipped,
         c.not_sent      + d.not_sent      AS not_sent,
         c.unknown       + d.unknown       AS unknown
    FROM closed c, ledger l, outbox o, log d)
SELECT t.*,
       t.enqueued - t.waiting - t.in_flight - t.delivered - t.rejected - t.timeout - t.dns_error
         - t.connect_error - t.tls_error - t.network_error - t.blocked - t.invalid_url - t.skipped
         - t.not_sent - t.unknown AS unaccounted
  FROM total t;
COMMENT ON VIEW webhook_reconciliation IS
  'One row: completions that were enqueued, and where each is now; unaccounted is 0';
COMMENT ON COLUMN webhook_reconciliation.unaccounted IS
  'Enqueued, yet neither waiting nor in the log: always 0';
