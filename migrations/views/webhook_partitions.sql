-- Only partitions that webhook_make_partitions named.
CREATE OR REPLACE VIEW webhook_partitions AS
SELECT c.relname::text AS name,
       to_date(right(c.relname, 8), 'YYYYMMDD') AS day
  FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = 'webhook_deliveries'::regclass
   AND c.relname ~ '^webhook_deliveries_[0-9]{8}$';
COMMENT ON VIEW webhook_partitions IS
  'The partitions of the delivery log and their UTC days';
