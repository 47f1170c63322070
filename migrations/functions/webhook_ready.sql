-- A part has been written, so this makes the call due that waits for it. The trigger on call_analysis calls it, or a
-- platform with its own tables, in the transaction that writes the part. It sees only what is committed, and what its
-- own transaction wrote. When another transaction completes the call at this moment, neither sees the other's row:
-- webhook_release_analysed finds the two once both are committed. It locks no row that others see: a claim skips a
-- locked row, and the call must be claimed at the end of its wait even when this transaction is still open. So it
-- writes a hint, which webhook_release_hinted reads.
CREATE OR REPLACE FUNCTION webhook_ready(call_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
BEGIN
  IF octet_length($1) > 1024 THEN
    RETURN;
  ELSIF current_setting('transaction_isolation') = 'read committed' THEN
    -- No other transaction sees yet the row that this one enqueued.
    UPDATE webhook_outbox o
       SET due_at = least(due_at, clock_timestamp()), awaits_analysis = false, id = DEFAULT
     WHERE o.call_id = $1 AND o.awaits_analysis AND o.xmin = pg_current_xact_id()::xid;
    INSERT INTO webhook_analysis_hints
    SELECT $1 WHERE EXISTS (SELECT FROM webhook_outbox o WHERE o.call_id = $1 AND o.awaits_analysis);
  -- In the stricter isolation levels the transaction may have begun before the call was completed, and reading the
  -- outbox could make it fail.
  ELSIF current_setting('postcall.wait_for', true) <> '' THEN
    INSERT INTO webhook_analysis_hints SELECT $1 WHERE $1 IS NOT NULL;
  END IF;
END
$$;
COMMENT ON FUNCTION webhook_ready(text) IS
  'Makes a call due that waits for a part; call it in the transaction that writes the part';

-- A platform with its own tables calls this itself, in any role. An operator may restrict that (deploy/SECURITY.md), so
-- the right is granted only once. Otherwise our triggers call it, as its owner, and no other role may: that role could
-- have a call sent before its parts are there.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM webhook_settings WHERE key = 'own_tables' AND value = 'true') THEN
    REVOKE ALL ON FUNCTION webhook_ready(text) FROM PUBLIC;
  ELSIF NOT EXISTS (SELECT FROM webhook_definitions WHERE name = 'functions/webhook_ready') THEN
    GRANT EXECUTE ON FUNCTION webhook_ready(text) TO PUBLIC;
  END IF;
END
$$;
