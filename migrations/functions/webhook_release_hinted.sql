-- Makes the calls due that hints of committed transactions name. While calls wait or hints are there, every dispatcher
-- calls this a few times per second; when there is no hint, it reads an empty table. When the call of a hint is not
-- visible yet, nothing is lost, because webhook_release_analysed checks every new row. Returns how many calls became due,
-- 1000 at most.
--
-- Its plans, and those of webhook_release_analysed, do not depend on statistics, because the outbox fills and empties
-- within seconds. No statement joins it with itself: ids go from one statement to the next in an array. Where
-- enable_sort is off, rows that are needed in an order are read from the index that has this order.
CREATE OR REPLACE FUNCTION webhook_release_hinted() RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_sort = off
SET search_path FROM CURRENT
AS $$
DECLARE
  hinted   text[];
  released int;
BEGIN
  WITH followed AS (
    DELETE FROM webhook_analysis_hints
     WHERE ctid = ANY (ARRAY(SELECT h.ctid FROM webhook_analysis_hints h LIMIT 1000 FOR UPDATE SKIP LOCKED))
    RETURNING call_id)
  SELECT array_agg(DISTINCT call_id) INTO hinted FROM followed;
  IF hinted IS NULL THEN
    RETURN 0;
  END IF;
  UPDATE webhook_outbox
     SET due_at = least(due_at, clock_timestamp()), awaits_analysis = false, id = DEFAULT
   WHERE id = ANY (ARRAY(
           SELECT waiting.id
             FROM unnest(hinted) AS h (call_id)
            CROSS JOIN LATERAL (
                    SELECT o.id
                      FROM webhook_outbox o
                     WHERE o.awaits_analysis AND o.call_id >= h.call_id AND o.call_id <= h.call_id
                     ORDER BY o.call_id
                       FOR UPDATE) AS waiting));  -- another session locks such a row for one statement only
  GET DIAGNOSTICS released = ROW_COUNT;
  RETURN released;
END
$$;
COMMENT ON FUNCTION webhook_release_hinted() IS
  'Makes calls due whose analysis was committed while they waited; while some wait, dispatchers call it a few times per second';
REVOKE ALL ON FUNCTION webhook_release_hinted() FROM PUBLIC;
