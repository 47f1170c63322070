-- For a platform with its own tables, in the transaction that completes the call: finds the agent and decides.
CREATE OR REPLACE FUNCTION webhook_enqueue(call_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
-- In SERIALIZABLE, a scan of a whole table would conflict with every row that another transaction writes there.
SET enable_seqscan = off
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
DECLARE
  agent text;
BEGIN
  IF octet_length($1) > 1024 THEN  -- an index entry cannot be much longer
    RAISE WARNING 'webhook_enqueue: an id longer than 1024 bytes, call %..., is not enqueued', left($1, 40);
    RETURN;
  END IF;
  BEGIN
    SELECT coalesce(s.agent_id, '') INTO agent FROM webhook_source s WHERE s.call_id = $1 LIMIT 1;
    IF agent IS NULL THEN
      RAISE WARNING 'webhook_enqueue: there is no call %, nothing is enqueued', coalesce($1, 'NULL');
      RETURN;
    END IF;
  EXCEPTION WHEN OTHERS OR assert_failure THEN
    agent := NULL;  -- not known yet; see webhook_find_agents
  END;
  PERFORM webhook_decide($1, agent);
END
$$;
COMMENT ON FUNCTION webhook_enqueue(text) IS
  'Enqueues a completed call, once; call it in the transaction that completes the call';

-- A platform with its own tables calls this itself, in any role. An operator may restrict that (deploy/SECURITY.md), so
-- the right is granted only once. Otherwise our triggers call it, and no other role may: that role could have a call
-- sent before it is completed, or declined and so never sent.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM webhook_settings WHERE key = 'own_tables' AND value = 'true') THEN
    REVOKE ALL ON FUNCTION webhook_enqueue(text) FROM PUBLIC;
  ELSIF NOT EXISTS (SELECT FROM webhook_definitions WHERE name = 'functions/webhook_enqueue') THEN
    GRANT EXECUTE ON FUNCTION webhook_enqueue(text) TO PUBLIC;
  END IF;
END
$$;
