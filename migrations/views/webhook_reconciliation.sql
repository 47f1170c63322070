-- All completions that were enqueued, as far back as the ledger goes, and where they are now. Closed hours come from
-- webhook_summary; open hours are counted. Each lower bound has an upper bound, even if that is infinity: the planner
-- then expects a small part of the tables, and neither reads all of them nor compiles the query.
CREATE OR REPLACE VIEW webhook_reconciliation AS
WITH edge AS MATERIALIZED (
  SELECT min(o.opens_at) AS opens_at,
         max(o.opens_at) AS all_open_at,  -- from here on no hour is closed
         timestamptz 'infinity' AS ends_at
    FROM webhook_open_hours o),
closed AS (
  SELECT coalesce(sum(enqueued), 0)::bigint         AS enqueued,
         coalesce(sum(delivered), 0)::bigint        AS delivered,
         coalesce(sum(rejected), 0)::bigint         AS rejected,
         coalesce(sum(timeout), 0)::bigint          AS timeout,
         coalesce(sum(dns_error), 0)::bigint        AS dns_error,
         coalesce(sum(connect_error), 0)::bigint    AS connect_error,
         coalesce(sum(tls_error), 0)::bigint        AS tls_error,
         coalesce(sum(network_error), 0)::bigint    AS network_error,
         coalesce(sum(blocked), 0)::bigint          AS blocked,
         coalesce(sum(invalid_settings), 0)::bigint AS invalid_settings,
         coalesce(sum(skipped), 0)::bigint          AS skipped,
         coalesce(sum(not_sent), 0)::bigint         AS not_sent,
         coalesce(sum(unknown), 0)::bigint          AS unknown
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
  SELECT count(*) FILTER (WHERE outcome = 'in_flight')        AS in_flight,
         count(*) FILTER (WHERE outcome = 'delivered')        AS delivered,
         count(*) FILTER (WHERE outcome = 'rejected')         AS rejected,
         count(*) FILTER (WHERE outcome = 'timeout')          AS timeout,
         count(*) FILTER (WHERE outcome = 'dns_error')        AS dns_error,
         count(*) FILTER (WHERE outcome = 'connect_error')    AS connect_error,
         count(*) FILTER (WHERE outcome = 'tls_error')        AS tls_error,
         count(*) FILTER (WHERE outcome = 'network_error')    AS network_error,
         count(*) FILTER (WHERE outcome = 'blocked')          AS blocked,
         count(*) FILTER (WHERE outcome = 'invalid_settings') AS invalid_settings,
         count(*) FILTER (WHERE outcome = 'skipped')          AS skipped,
         count(*) FILTER (WHERE outcome = 'not_sent')         AS not_sent,
         count(*) FILTER (WHERE outcome = 'unknown')          AS unknown
    FROM webhook_deliveries d
   WHERE d.cause = 'completion'
     AND d.enqueued_at >= (SELECT opens_at FROM edge)
     AND d.enqueued_at < (SELECT ends_at FROM edge)
     AND d.claimed_at >= (SELECT opens_at - interval '1 hour' FROM edge)  -- earlier days are not read
     AND d.claimed_at < (SELECT ends_at FROM edge)
     AND (d.enqueued_at >= (SELECT all_open_at FROM edge)
          OR date_trunc('hour', d.enqueued_at, 'UTC') NOT IN (SELECT hour FROM webhook_summary))),
total AS (
  SELECT c.enqueued         + l.enqueued         AS enqueued,
         o.waiting,
         d.in_flight,
         c.delivered        + d.delivered        AS delivered,
         c.rejected         + d.rejected         AS rejected,
         c.timeout          + d.timeout          AS timeout,
         c.dns_error        + d.dns_error        AS dns_error,
         c.connect_error    + d.connect_error    AS connect_error,
         c.tls_error        + d.tls_error        AS tls_error,
         c.network_error    + d.network_error    AS network_error,
         c.blocked          + d.blocked          AS blocked,
         c.invalid_settings + d.invalid_settings AS invalid_settings,
         c.skipped          + d.skipped          AS skipped,
         c.not_sent         + d.not_sent         AS not_sent,
         c.unknown          + d.unknown          AS unknown
    FROM closed c, ledger l, outbox o, log d)
SELECT t.*,
       t.enqueued - t.waiting - t.in_flight - t.delivered - t.rejected - t.timeout - t.dns_error
         - t.connect_error - t.tls_error - t.network_error - t.blocked - t.invalid_settings - t.skipped
         - t.not_sent - t.unknown AS unaccounted
  FROM total t;
COMMENT ON VIEW webhook_reconciliation IS
  'One row: completions that were enqueued, and where each is now; unaccounted is 0';
COMMENT ON COLUMN webhook_reconciliation.unaccounted IS
  'Enqueued, but neither waiting nor in the log: always 0';
