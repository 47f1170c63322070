-- What the dispatchers do beside deliveries: partitions of the log, the closing of hours, and the end of what
-- is kept for 400 days (CONTRACT §4). Any number of dispatchers may call these at once: whoever comes second
-- finds nothing to do.

-- The partitions of the log, by UTC day.
CREATE VIEW webhook_partitions AS
SELECT c.relname::text AS name,
       to_date(right(c.relname, 8), 'YYYYMMDD') AS day
  FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = 'webhook_deliveries'::regclass
   AND c.relname ~ '^webhook_deliveries_[0-9]{8}$';
COMMENT ON VIEW webhook_partitions IS 'The partitions of the delivery log and their UTC days';

-- Makes the partitions from yesterday to days_ahead days after today (UTC). Returns how many days ahead of
-- today exist without a gap, -1 when even today's is missing.
-- Not by CREATE … PARTITION OF, which needs the log for itself alone: queued behind one long report, it would
-- stop every claim. ATTACH conflicts with neither; what it can wait for is another of its kind or a VACUUM, and
-- then it gives up with 55P03 (lock_not_available) and is called again later.
CREATE FUNCTION webhook_make_partitions(days_ahead int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '1s' AS $$
DECLARE
  today   date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
  missing date;
  name    text;
BEGIN
  IF pg_try_advisory_xact_lock('webhook_deliveries'::regclass::oid::bigint) THEN
    FOR missing IN
      SELECT today + n
        FROM generate_series(-1, least(days_ahead, 366)) n
       WHERE today + n NOT IN (SELECT p.day FROM webhook_partitions p)
       ORDER BY n
    LOOP
      name := 'webhook_deliveries_' || to_char(missing, 'YYYYMMDD');
      EXECUTE format('CREATE TABLE IF NOT EXISTS %I (LIKE webhook_deliveries INCLUDING ALL)', name);
      EXECUTE format('ALTER TABLE webhook_deliveries ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                     name, to_char(missing, 'YYYY-MM-DD 00:00:00+00'), to_char(missing + 1, 'YYYY-MM-DD 00:00:00+00'));
    END LOOP;
  END IF;
  RETURN (SELECT count(*) - 1
            FROM (SELECT p.day - row_number() OVER (ORDER BY p.day)::int AS run
                    FROM webhook_partitions p
                   WHERE p.day >= today) days
           WHERE days.run = today - 1);
END
$$;
COMMENT ON FUNCTION webhook_make_partitions(int) IS
  'Makes the log''s partitions up to that many days ahead; returns how many days ahead exist';

-- The stretches of time that are not summed up: everything after the last closed hour, and any hour that was
-- deleted to be counted anew.
CREATE VIEW webhook_open_hours AS
SELECT s.hour + interval '1 hour' AS opens_at,
       coalesce((SELECT min(n.hour) FROM webhook_summary n WHERE n.hour > s.hour), 'infinity') AS ends_at
  FROM webhook_summary s
 WHERE NOT EXISTS (SELECT FROM webhook_summary n WHERE n.hour = s.hour + interval '1 hour')
UNION ALL
SELECT e.first, s.first
  FROM (SELECT date_trunc('hour', min(enqueued_at), 'UTC') AS first FROM webhook_enqueued) e,
       (SELECT coalesce(min(hour), 'infinity') AS first FROM webhook_summary) s
 WHERE e.first < s.first;
COMMENT ON VIEW webhook_open_hours IS
  'The stretches of time that webhook_reconciliation counts itself rather than read webhook_summary';

-- Sums up hours, in order, for about two seconds; returns how many. An hour closes when it is over, none of its
-- completions waits or is in flight, and no transaction is open that could still bring one: a platform may
-- commit hours after webhook_enqueue read the clock.
CREATE FUNCTION webhook_close_hours() RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '1s' AS $$
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

  -- Whoever read the clock before next_until had its transaction id before that, so a lower one than
  -- next_after, which this function drew afterwards. (now() is before this transaction's id, too.)
  -- An id from the future means that the database was restored into another cluster: begin anew.
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

  -- A late outcome that replaces `unknown` changes the log and deletes the hour's row in one transaction. This
  -- lock lets it do both before the count, or both after.
  LOCK TABLE webhook_summary IN SHARE ROW EXCLUSIVE MODE;

  -- One statement, one snapshot: a row that is given back moves from the log to the outbox.
  SELECT (SELECT min(o.opens_at) FROM webhook_open_hours o),
         date_trunc('hour', least(
           mark.settled_until,
           (SELECT min(o.enqueued_at) FROM webhook_outbox o WHERE o.cause = 'completion'),
           (SELECT min(d.enqueued_at) FROM webhook_deliveries d
             WHERE d.cause = 'completion' AND d.outcome = 'in_flight')), 'UTC')
    INTO opened, ends;
  FOR hour IN
    SELECT h
      FROM generate_series(opened, ends - interval '1 hour', interval '1 hour') h
     WHERE NOT EXISTS (SELECT FROM webhook_summary s WHERE s.hour = h)
  LOOP
    INSERT INTO webhook_summary (
      hour, enqueued, delivered, rejected, timeout, dns_error, connect_error, tls_error, network_error,
      blocked, invalid_url, skipped, not_sent, unknown)
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
           count(*) FILTER (WHERE d.outcome = 'invalid_url'),
           count(*) FILTER (WHERE d.outcome = 'skipped'),
           count(*) FILTER (WHERE d.outcome = 'not_sent'),
           count(*) FILTER (WHERE d.outcome = 'unknown')
      FROM webhook_deliveries d
     WHERE d.cause = 'completion'
       AND d.enqueued_at >= hour AND d.enqueued_at < hour + interval '1 hour'
       AND d.claimed_at >= hour - interval '1 hour';  -- earlier days are not read; an hour for a clock set back
    closed := closed + 1;
    EXIT WHEN clock_timestamp() > statement_timestamp() + interval '2 seconds';
  END LOOP;
  RETURN closed;
END
$$;
COMMENT ON FUNCTION webhook_close_hours() IS
  'Sums up hours in which nothing can change any more, for webhook_reconciliation; returns how many';

-- Drops the oldest partition whose day ended retention_days ago or longer, once all hours up to its end are
-- closed. Returns 1, or 0 when there is none to drop or it is too early; call it again until then.
-- Reports and claims are in the way of the drop: it waits for them for a blink, which is all that a claim can
-- wait behind it, then gives up with 55P03 (lock_not_available), to be called again later.
CREATE FUNCTION webhook_drop_partitions(retention_days int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '50ms' AS $$
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

  -- Twice: without the locks, not to take them in vain, and with them, so that nothing changes any more.
  FOR pass IN 1..2 LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE outcome = ''in_flight'')', oldest.name) INTO busy;
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

-- Deletes up to max_rows of what was kept for 400 days, of each table. Returns how many; call it again while
-- it returns any.
CREATE FUNCTION webhook_purge(max_rows int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '1s' AS $$
DECLARE
  horizon timestamptz := date_trunc('hour', now() - interval '400 days', 'UTC');
  gone    int;
  total   int := 0;
BEGIN
  -- Hours that are open are counted from the ledger, so their part of it stays.
  DELETE FROM webhook_enqueued
   WHERE call_id IN (SELECT e.call_id FROM webhook_enqueued e
                      WHERE e.enqueued_at < least(horizon, (SELECT min(o.opens_at) FROM webhook_open_hours o))
                      ORDER BY e.enqueued_at
                      LIMIT max_rows);
  GET DIAGNOSTICS gone = ROW_COUNT;
  total := total + gone;

  DELETE FROM webhook_declined
   WHERE call_id IN (SELECT c.call_id FROM webhook_declined c
                      WHERE c.decided_at < horizon
                      ORDER BY c.decided_at
                      LIMIT max_rows);
  GET DIAGNOSTICS gone = ROW_COUNT;
  total := total + gone;

  -- The sums go after what they sum up, and whole: otherwise the hour would be open again.
  DELETE FROM webhook_summary
   WHERE hour < least(horizon, date_trunc('hour', (SELECT min(e.enqueued_at) FROM webhook_enqueued e), 'UTC'));
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN total + gone;
END
$$;
COMMENT ON FUNCTION webhook_purge(int) IS
  'Deletes decisions and sums that are older than 400 days, in batches; returns how many';

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY[
    'webhook_make_partitions(int)', 'webhook_close_hours()', 'webhook_drop_partitions(int)',
    'webhook_purge(int)']
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name);
    EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', name, current_schema());
  END LOOP;
END
$$;
