-- An analysis that is written, and not committed, must not keep a call from being claimed at the end of its wait
-- (CONTRACT §3): whoever updates a row of the outbox holds it until that transaction is over, and claims pass a
-- row that somebody holds. So the platform's transaction only leaves a hint.

-- Makes a waiting call due, because its analysis is there. Called by the trigger on call_analysis, or by a
-- platform with tables of its own, in the transaction that writes the analysis.
-- It sees only what is committed or its own. When the call is being completed in another transaction at this
-- moment, neither sees the other's row: webhook_release_analysed finds the pair once both are committed.
CREATE OR REPLACE FUNCTION webhook_analysis_ready(call_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
#variable_conflict use_column
BEGIN
  IF octet_length($1) > 1024 THEN
    RETURN;
  ELSIF current_setting('transaction_isolation') = 'read committed' THEN
    -- Nobody else sees yet what this transaction itself enqueued.
    UPDATE webhook_outbox o
       SET due_at = least(due_at, clock_timestamp()), awaits_analysis = false
     WHERE o.call_id = $1 AND o.awaits_analysis AND o.xmin = pg_current_xact_id()::xid;
    INSERT INTO webhook_analysis_hints
    SELECT $1 WHERE EXISTS (SELECT FROM webhook_outbox o WHERE o.call_id = $1 AND o.awaits_analysis);
  -- In the stricter isolation levels the transaction may have begun before the call was completed, and to read
  -- the outbox could make it fail.
  ELSIF coalesce(current_setting('postcall.analysis_wait', true), '') NOT IN ('', '0') THEN
    INSERT INTO webhook_analysis_hints SELECT $1 WHERE $1 IS NOT NULL;
  END IF;
END
$$;

-- Makes the calls due that the hints name, whose transactions are over. Called by every dispatcher a few times a
-- second. When there is none, it reads an empty table. A hint whose call is not seen yet is no loss: a new row is
-- looked at by webhook_release_analysed. Returns how many became due; at most 1000 at once.
CREATE FUNCTION webhook_release_hinted() RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
-- As for webhook_release_analysed.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  hinted   text[];
  released int;
BEGIN
  WITH taken AS (
    DELETE FROM webhook_analysis_hints
     WHERE ctid IN (SELECT ctid FROM webhook_analysis_hints LIMIT 1000 FOR UPDATE SKIP LOCKED)
    RETURNING call_id)
  SELECT array_agg(DISTINCT call_id) INTO hinted FROM taken;
  IF hinted IS NULL THEN
    RETURN 0;
  END IF;
  UPDATE webhook_outbox
     SET due_at = least(due_at, clock_timestamp()), awaits_analysis = false
   WHERE id IN (SELECT o.id
                  FROM webhook_outbox o
                 WHERE o.call_id = ANY (hinted) AND o.awaits_analysis
                   FOR UPDATE);  -- held for no longer than another's look or claim takes
  GET DIAGNOSTICS released = ROW_COUNT;
  RETURN released;
END
$$;
COMMENT ON FUNCTION webhook_release_hinted() IS
  'Makes calls due whose analysis was committed while they waited; dispatchers call it a few times a second';
REVOKE ALL ON FUNCTION webhook_release_hinted() FROM PUBLIC;

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['webhook_analysis_ready(text)', 'webhook_release_hinted()'] LOOP
    EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', name, current_schema());
  END LOOP;
END
$$;
