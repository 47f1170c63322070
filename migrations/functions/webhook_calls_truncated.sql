-- For the trigger on calls: does for all rows what webhook_call_changed does for one that is deleted.
CREATE OR REPLACE FUNCTION webhook_calls_truncated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
  INSERT INTO webhook_decisions (call_id, decided_at, declined)
  SELECT s.call_id, clock_timestamp(), 'completed_unseen'
    FROM webhook_source s
   WHERE s.completed
     AND octet_length(s.call_id) <= 1024
      ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION webhook_calls_truncated() IS
  'Trigger on calls: like webhook_call_changed for a deletion, for TRUNCATE';
REVOKE ALL ON FUNCTION webhook_calls_truncated() FROM PUBLIC;
