-- After PostgreSQL lost commits (a restore, a fail-over to a replica that lagged), deliveries that wait or are in
-- flight may already have been sent, by a claim that is lost. This makes them `unknown`, so that no dispatcher sends
-- them. Calls that were enqueued at `enqueued_before` or later stay. Returns how many became unknown. An operator calls
-- it before a dispatcher is started; it refuses while a dispatcher lives (deploy/OPERATIONS.md).
CREATE OR REPLACE FUNCTION webhook_mark_suspect(enqueued_before timestamptz) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
  moment  timestamptz := clock_timestamp();
  words   text := 'The database lost commits, by a restore or a fail-over. The call may have arrived before; it is not sent again.';
  alive   record;
  waited  int;
  flying  int;
BEGIN
  IF enqueued_before IS NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'null_value_not_allowed',
      MESSAGE = 'webhook_mark_suspect needs the time before which calls are suspect; infinity for all that wait';
  END IF;
  -- No dispatcher registers, and so none claims, until this is over.
  LOCK TABLE webhook_dispatchers IN SHARE ROW EXCLUSIVE MODE;
  SELECT d.instance, d.heartbeat_at INTO alive
    FROM webhook_dispatchers d
   WHERE d.heartbeat_at > moment - interval '30 seconds'
   ORDER BY d.heartbeat_at DESC
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_in_use',
      MESSAGE = format('the dispatcher %s was alive at %s: stop every dispatcher first', alive.instance,
                       alive.heartbeat_at),
      HINT = 'A dispatcher that was killed, or that ran when the backup was made, counts as alive for 30 s.';
  END IF;
  -- After this, a dispatcher that runs but cannot reach this database may no longer send what it claimed.
  DELETE FROM webhook_dispatchers;

  PERFORM webhook_make_partitions(7);  -- the backup may be so old that it has no partition for today
  WITH suspect AS (
    DELETE FROM webhook_outbox o
     WHERE o.enqueued_at < enqueued_before
    RETURNING o.id, o.call_id, o.agent_id, o.cause, o.enqueued_at, o.due_at)
  INSERT INTO webhook_deliveries (
    id, call_id, agent_id, cause, outcome, error, enqueued_at, due_at, claimed_at, finished_at, dispatcher, claim_id)
  SELECT s.id, s.call_id, s.agent_id, s.cause, 'unknown', words, s.enqueued_at, s.due_at, moment, moment,
         'webhook_mark_suspect', gen_random_uuid()
    FROM suspect s;
  GET DIAGNOSTICS waited = ROW_COUNT;

  UPDATE webhook_deliveries d
     SET outcome = 'unknown', finished_at = moment, error = words
    FROM webhook_claims c
   WHERE d.claimed_at = c.claimed_at
     AND d.claim_id = c.claim_id
     AND d.outcome = 'in_flight';
  GET DIAGNOSTICS flying = ROW_COUNT;
  DELETE FROM webhook_claims;
  RETURN waited + flying;
END
$$;
COMMENT ON FUNCTION webhook_mark_suspect(timestamptz) IS
  'After lost commits, before a dispatcher is started: what was enqueued before that moment and waits, and what is in flight, becomes unknown and is not sent; returns how many';
REVOKE ALL ON FUNCTION webhook_mark_suspect(timestamptz) FROM PUBLIC;
