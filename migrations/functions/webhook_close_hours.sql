-- Sums up hours, in order, for about two seconds; returns how many. An hour closes when it has been over for an hour,
-- none of its completions waits or is in flight, and no open transaction could still add one: a platform may commit
-- hours after webhook_enqueue read the clock. The wait of one hour allows for a clock that is set back, or for the
-- slower clock of a replica that takes over.
CREATE OR REPLACE FUNCTION webhook_close_hours() RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout = '1s'
SET search_path FROM CURRENT
AS $$
#variable_conflict use_variable
DECLARE
  mark   webhook_settled;
  opened timestamptz;
  ends   timestamptz;
  hour   timestamptz;
  closed int := 0;
BEGIN
  IF NOT pg_try_advisory_xact_lock('webhook_summary'::regclass::oid::bigint) THEN
    RETURN 0;
  END IF;

  -- A transaction that read the clock before next_until had drawn its id before that. Its id is lower than next_after,
  -- which this function drew afterwards. (now() is also before this transaction's id.)
  -- An id from the future means that the database was restored into another cluster; then this starts again.
  SELECT * INTO mark FROM webhook_settled;
  IF mark.next_after <= pg_snapshot_xmin(pg_current_snapshot()) THEN
    mark.settled_until := mark.next_until;
    mark.next_after := NULL;
  END IF;
  IF mark.next_after IS NULL OR mark.next_after > pg_current_xact_id() THEN
    mark.next_until := now();
    mark.next_after := pg_current_xact_id();
  END IF;
  UPDATE webhook_settled
     SET settled_until = mark.settled_until, next_until = mark.next_until, next_after = mark.next_after;

  -- A late outcome that replaces `unknown` changes the log and deletes the hour's row in one transaction. With this
  -- lock, both are done before the count, or both after.
  LOCK TABLE webhook_summary IN SHARE ROW EXCLUSIVE MODE;

  -- One statement has one snapshot: a row that is requeued moves from the log to the outbox.
  SELECT (SELECT min(o.opens_at) FROM webhook_open_hours o),
         date_trunc('hour', least(
           mark.settled_until - interval '1 hour',
           (SELECT min(o.enqueued_at) FROM webhook_outbox o WHERE o.cause = 'completion'),
           (SELECT min(d.enqueued_at)
              FROM webhook_claims c
              JOIN webhook_deliveries d ON d.claimed_at = c.claimed_at AND d.claim_id = c.claim_id
             WHERE d.cause = 'completion' AND d.outcome = 'in_flight')), 'UTC')
    INTO opened, ends;
  FOR hour IN
    SELECT h
      FROM generate_series(opened, ends - interval '1 hour', interval '1 hour') h
     WHERE NOT EXISTS (SELECT FROM webhook_summary s WHERE s.hour = h)
  LOOP
    INSERT INTO webhook_summary (
      hour, enqueued, delivered, rejected, timeout, dns_error, connect_error, tls_error, network_error,
      blocked, invalid_settings, skipped, not_sent, unknown)
    SELECT hour,
           (SELECT count(*) FROM webhook_enqueued e
             WHERE e.enqueued_at >= hour AND e.enqueued_at < hour + interval '1 hour'),
           count(*) FILTER (WHERE d.outcome = 'delivered'),
           count(*) FILTER (WHERE d.outcome = 'rejected'),
           count(*) FILTER (WHERE d.outcome = 'timeout'),
           count(*) FILTER (WHERE d.outcome = 'dns_error'),
           count(*) FILTER (WHERE d.outcome = 'connect_error'),
           count(*) FILTER (WHERE d.outcome = 'tls_error'),
           count(*) FILTER (WHERE d.outcome = 'network_error'),
           count(*) FILTER (WHERE d.outcome = 'blocked'),
           count(*) FILTER (WHERE d.outcome = 'invalid_settings'),
           count(*) FILTER (WHERE d.outcome = 'skipped'),
           count(*) FILTER (WHERE d.outcome = 'not_sent'),
           count(*) FILTER (WHERE d.outcome = 'unknown')
      FROM webhook_deliveries d
     WHERE d.cause = 'completion'
       AND d.enqueued_at >= hour AND d.enqueued_at < hour + interval '1 hour'
       AND d.claimed_at >= hour - interval '1 hour';  -- earlier days are not read; 1 h for a clock set back
    closed := closed + 1;
    EXIT WHEN clock_timestamp() > statement_timestamp() + interval '2 seconds';
  END LOOP;
  RETURN closed;
END
$$;
COMMENT ON FUNCTION webhook_close_hours() IS
  'Sums up hours in which nothing can change any more, for webhook_reconciliation; returns how many';
REVOKE ALL ON FUNCTION webhook_close_hours() FROM PUBLIC;
