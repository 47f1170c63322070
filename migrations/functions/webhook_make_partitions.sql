-- Creates the partitions of the log from yesterday to days_ahead days after today (UTC). Returns how many days after
-- today have partitions without a gap, -1 when even today's is missing. When several dispatchers call this at once, one
-- works and the others find nothing to do; the same holds for webhook_close_hours, webhook_drop_partitions and
-- webhook_purge. It does not use CREATE … PARTITION OF, which locks the whole log: behind one long report it would
-- wait, and every claim behind it. ATTACH conflicts with neither of them. It can wait for another ATTACH or a VACUUM;
-- then it fails with 55P03 (lock_not_available), and the dispatcher calls it again later.
CREATE OR REPLACE FUNCTION webhook_make_partitions(days_ahead int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout = '1s'
SET search_path FROM CURRENT
AS $$
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
      name := 'webhook_deliveries_' || to_char(missing::timestamp, 'YYYYMMDD'::text);
      -- An outcome makes its row about half as large again. In a page that is filled to 40 percent, both versions of
      -- each row have room, so the update is HOT; later rows use the space of the first versions.
      EXECUTE pg_catalog.format('CREATE TABLE IF NOT EXISTS %I (LIKE webhook_deliveries INCLUDING ALL) WITH (fillfactor = 40)',
                                name);
      EXECUTE pg_catalog.format('ALTER TABLE webhook_deliveries ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                                name, to_char(missing::timestamp, 'YYYY-MM-DD 00:00:00+00'::text),
                                to_char((missing + 1)::timestamp, 'YYYY-MM-DD 00:00:00+00'::text));
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
  'Creates the log''s partitions up to that many days ahead; returns how many days ahead exist';
REVOKE ALL ON FUNCTION webhook_make_partitions(int) FROM PUBLIC;
