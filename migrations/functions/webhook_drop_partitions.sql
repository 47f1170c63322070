-- Drops the oldest partition whose day ended retention_days ago or longer, once all hours up to its end are closed.
-- Returns 1; or 0 when there is none to drop, or when it is too early. The dispatcher calls it again while it returns
-- 1. The drop must wait for reports and claims, and claims wait behind it. So it waits for 50 ms, fails with 55P03
-- (lock_not_available), and the dispatcher calls it again later.
CREATE OR REPLACE FUNCTION webhook_drop_partitions(retention_days int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout = '50ms'
SET search_path FROM CURRENT
AS $$
DECLARE
  today     date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
  oldest    record;
  ends      timestamptz;
  busy      boolean;
BEGIN
  IF NOT (pg_try_advisory_xact_lock('webhook_deliveries'::regclass::oid::bigint)
          AND pg_try_advisory_xact_lock('webhook_summary'::regclass::oid::bigint)) THEN
    RETURN 0;
  END IF;
  SELECT p.name, p.day INTO oldest
    FROM webhook_partitions p
   WHERE p.day < today - greatest(retention_days, 0)
   ORDER BY p.day
   LIMIT 1;
  IF NOT FOUND THEN
    RETURN 0;
  END IF;
  ends := (oldest.day + 1)::timestamp AT TIME ZONE 'UTC';

  -- The first pass checks without the locks, so that they are not taken for nothing; the second checks with them.
  FOR pass IN 1..2 LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM webhook_claims c'
                   '                 JOIN %I d ON d.claimed_at = c.claimed_at AND d.claim_id = c.claim_id'
                   '                WHERE d.outcome = ''in_flight'')', oldest.name) INTO busy;
    IF busy OR EXISTS (SELECT FROM webhook_open_hours o WHERE o.opens_at < ends) THEN
      RETURN 0;
    END IF;
    IF pass = 1 THEN
      EXECUTE format('LOCK TABLE ONLY %I, ONLY webhook_deliveries IN ACCESS EXCLUSIVE MODE', oldest.name);
    END IF;
  END LOOP;

  UPDATE webhook_summary SET final = true WHERE hour < ends AND NOT final;
  EXECUTE format('DROP TABLE %I', oldest.name);
  RETURN 1;
END
$$;
COMMENT ON FUNCTION webhook_drop_partitions(int) IS
  'Drops the oldest partition of the log that retention has passed; returns how many it dropped, 0 or 1';
REVOKE ALL ON FUNCTION webhook_drop_partitions(int) FROM PUBLIC;
