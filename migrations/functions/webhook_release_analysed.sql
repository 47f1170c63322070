-- Makes the waiting calls due whose analysis is committed, and which webhook_ready could not see. While calls wait
-- or hints are there, every dispatcher calls this about once per second. A call is checked every second until all
-- transactions are over that were open when it was first seen, because one of them may write its analysis. After that it
-- is checked every 32nd time, in case its row was locked at the wrong moment; so a hundred thousand calls without
-- analysis cost little. Returns how many calls became due, 1000 at most. Its plans: see webhook_release_hinted.
CREATE OR REPLACE FUNCTION webhook_release_analysed(turn bigint DEFAULT extract(epoch FROM clock_timestamp())::bigint)
RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_sort = off
SET search_path FROM CURRENT
AS $$
DECLARE
  hinted   text[];
  over     xid8;
  ids      bigint[];
  calls    text[];
  ready    bigint[];
  released int;
BEGIN
  WITH followed AS (
    DELETE FROM webhook_analysis_hints
     WHERE ctid = ANY (ARRAY(SELECT h.ctid FROM webhook_analysis_hints h LIMIT 1000 FOR UPDATE SKIP LOCKED))
    RETURNING call_id)
  SELECT array_agg(DISTINCT call_id) INTO hinted FROM followed;
  UPDATE webhook_outbox
     SET watched_until = NULL
   WHERE id = ANY (ARRAY(
           SELECT waiting.id
             FROM unnest(hinted) AS h (call_id)
            CROSS JOIN LATERAL (
                    SELECT o.id
                      FROM webhook_outbox o
                     WHERE o.awaits_analysis AND o.call_id >= h.call_id AND o.call_id <= h.call_id
                     ORDER BY o.call_id
                       FOR UPDATE SKIP LOCKED) AS waiting));

  -- A transaction whose trigger did not see the row got its id before this statement began. So its id is lower than the
  -- one used here.
  UPDATE webhook_outbox
     SET watched_until = pg_current_xact_id()
   WHERE id = ANY (ARRAY(
           SELECT o.id
             FROM webhook_outbox o
            WHERE o.awaits_analysis AND o.watched_until IS DISTINCT FROM '0' AND o.watched_until IS NULL
            ORDER BY o.id
            LIMIT 5000
              FOR UPDATE SKIP LOCKED));
  over := pg_snapshot_xmin(pg_current_snapshot());  -- before the next statement, so that it sees what they wrote

  SELECT array_agg(o.id), array_agg(o.call_id)
    INTO ids, calls
    FROM ((SELECT f.id, f.call_id
             FROM webhook_outbox f
            WHERE f.awaits_analysis AND f.watched_until IS DISTINCT FROM '0'
            ORDER BY f.id DESC
            LIMIT 5000)
           UNION
          SELECT t.id, t.call_id
            FROM webhook_outbox t
           WHERE t.awaits_analysis AND t.id % 32::bigint = turn % 32::bigint) o;

  -- The platform's own view may sort and hash.
  PERFORM set_config('enable_sort', 'on', true), set_config('enable_hashjoin', 'on', true);
  BEGIN
    ready := ARRAY(
      SELECT o.id
        FROM unnest(ids, calls) AS o (id, call_id)
       CROSS JOIN LATERAL (
               SELECT FROM webhook_source s
                WHERE s.call_id = o.call_id
                  AND pg_catalog.num_nonnulls(s.summary, s.mood, s.score, s.call_outcome, s.classification,
                                              s.interests_and_needs, s.action_items, s.sentiment) > 0
                LIMIT 1) analysed
       LIMIT 1000);
  EXCEPTION WHEN OTHERS OR assert_failure THEN  -- one cannot be read, so each is read alone
    ready := ARRAY(
      SELECT o.id
        FROM unnest(ids, calls) AS o (id, call_id)
       WHERE webhook_has_analysis(o.call_id)
       LIMIT 1000);
  END;
  PERFORM set_config('enable_sort', 'off', true), set_config('enable_hashjoin', 'off', true);

  UPDATE webhook_outbox
     SET due_at = least(due_at, clock_timestamp()), awaits_analysis = false, id = DEFAULT
   WHERE id = ANY (ARRAY(
           SELECT o.id FROM webhook_outbox o
            WHERE o.id = ANY (ready) AND o.awaits_analysis
              FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS released = ROW_COUNT;

  UPDATE webhook_outbox
     SET watched_until = '0'
   WHERE id = ANY (ARRAY(
           SELECT o.id
             FROM webhook_outbox o
            WHERE o.awaits_analysis AND o.watched_until IS DISTINCT FROM '0' AND o.watched_until <= over
            ORDER BY o.id
            LIMIT 5000
              FOR UPDATE SKIP LOCKED));
  RETURN released;
END
$$;
COMMENT ON FUNCTION webhook_release_analysed(bigint) IS
  'Makes calls due whose analysis was committed while they were being completed; while calls wait, dispatchers call it every second';
REVOKE ALL ON FUNCTION webhook_release_analysed(bigint) FROM PUBLIC;
