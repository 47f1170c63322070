-- Decides, once per call, whether a completed call is sent, and if so, enqueues it. The agent is NULL when it could not
-- be read. It reads nothing that other transactions write, except the agent. Only webhook_call_changed and
-- webhook_enqueue call it. It runs with the rights and settings of these two, because setting them once more would cost
-- the platform's transaction as much as a statement.
CREATE OR REPLACE FUNCTION webhook_decide(call_id text, agent_id text) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
  wait_for text := current_setting('postcall.wait_for', true);
  own_id   xid8;
  moment   timestamptz;
  url      text;
  verdict  text;  -- NULL: enqueued
  wait     interval;
BEGIN
  -- The transaction gets its id before the clock is read. webhook_close_hours relies on that order: from it, it knows
  -- when no transaction can still add a row to an hour that is over.
  own_id := pg_current_xact_id();
  moment := clock_timestamp();
  IF current_setting('postcall.enqueue', true) IS NOT NULL AND NOT webhook_enqueue_wanted() THEN
    verdict := 'switched_off';
  ELSIF octet_length($2) > 1024 THEN
    verdict := 'agent_id_too_long';
    RAISE WARNING 'webhook_enqueue: an id longer than 1024 bytes, the agent of call %, which is not enqueued', $1;
  ELSIF $2 IS NOT NULL THEN
    -- A platform's own view may raise an error for a row, or its table may be locked for longer than lock_timeout. The
    -- platform's transaction goes on, and the call is enqueued: the claim finds out what is wrong, if it still is.
    -- The block writes nothing, because that would cost a transaction id.
    BEGIN
      SELECT a.settings #>> '{webhooks,postCall}'::text[]  -- NULL when the settings have no such key
        INTO url
        FROM webhook_agents a
       WHERE a.id = $2
       LIMIT 1;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
      url := 'unreadable';
    END;
    IF url IS NULL OR url = '' THEN
      verdict := 'no_url';
    END IF;
  END IF;

  INSERT INTO webhook_decisions (call_id, agent_id, decided_at, declined)
  VALUES ($1, CASE WHEN verdict IS NULL THEN coalesce($2, '') END, moment, verdict)
      ON CONFLICT DO NOTHING;
  IF NOT FOUND OR verdict IS NOT NULL THEN
    RETURN;
  END IF;

  IF wait_for <> '' AND 'analysis' = ANY (webhook_wait_for(wait_for)) THEN
    wait := nullif(webhook_wait_at_most(current_setting('postcall.wait_at_most', true)), interval '0');
    -- In SERIALIZABLE, a look here would conflict with every analysis that another transaction writes.
    -- webhook_release_analysed looks within a second.
    IF wait IS NOT NULL AND current_setting('transaction_isolation') <> 'serializable'
       AND webhook_has_analysis($1) THEN
      wait := NULL;
    END IF;
  END IF;
  INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at, awaits_analysis)
  VALUES ($1, coalesce($2, ''), 'completion', moment, moment + coalesce(wait, interval '0'), wait IS NOT NULL);
END
$$;
COMMENT ON FUNCTION webhook_decide(text, text) IS
  'Decides, once per call, whether a completed call is enqueued; NULL is an agent that could not be read';
REVOKE ALL ON FUNCTION webhook_decide(text, text) FROM PUBLIC;
