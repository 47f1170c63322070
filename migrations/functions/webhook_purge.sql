-- Deletes decisions that are older than ledger_days: up to max_rows of the enqueued and up to max_rows of the declined.
-- Returns how many; the dispatcher calls it again while it returns more than 0.
CREATE OR REPLACE FUNCTION webhook_purge(max_rows int, ledger_days int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout = '1s'
SET enable_seqscan = off
SET search_path FROM CURRENT
AS $$
DECLARE
  horizon timestamptz := date_trunc('hour', now() - make_interval(days => greatest(ledger_days, 1)), 'UTC');
  deleted int;
  total   int := 0;
BEGIN
  -- Open hours are counted from the ledger, so their rows stay.
  DELETE FROM webhook_decisions
   WHERE call_id IN (SELECT e.call_id FROM webhook_enqueued e
                      WHERE e.enqueued_at < least(horizon, (SELECT min(o.opens_at) FROM webhook_open_hours o))
                      ORDER BY e.enqueued_at
                      LIMIT max_rows);
  GET DIAGNOSTICS deleted = ROW_COUNT;
  total := total + deleted;

  DELETE FROM webhook_decisions
   WHERE call_id IN (SELECT c.call_id FROM webhook_declined c
                      WHERE c.decided_at < horizon
                      ORDER BY c.decided_at
                      LIMIT max_rows);
  GET DIAGNOSTICS deleted = ROW_COUNT;
  total := total + deleted;

  -- A sum is deleted after all the rows that it counts: otherwise the hour would be open again.
  DELETE FROM webhook_summary
   WHERE hour < least(horizon, date_trunc('hour', (SELECT min(e.enqueued_at) FROM webhook_enqueued e), 'UTC'));
  GET DIAGNOSTICS deleted = ROW_COUNT;
  RETURN total + deleted;
END
$$;
COMMENT ON FUNCTION webhook_purge(int, int) IS
  'Deletes decisions and sums that are older than ledger_days, in batches; returns how many';
REVOKE ALL ON FUNCTION webhook_purge(int, int) FROM PUBLIC;
