-- For the triggers on calls. A completed call without a decision was completed before installation, or with
-- postcall.enqueue off, or longer ago than decisions are kept. The function records this before the row loses its
-- status. Without the record, a later completion of the same call would look like its first.
CREATE OR REPLACE FUNCTION webhook_call_uncompleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
  INSERT INTO webhook_decisions (call_id, decided_at, declined)
  SELECT OLD.id::text, clock_timestamp(), 'completed_unseen'
   WHERE octet_length(OLD.id::text) <= 1024
      ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION webhook_call_uncompleted() IS
  'Trigger on calls: a completed row gets another status or id, or is deleted';
REVOKE ALL ON FUNCTION webhook_call_uncompleted() FROM PUBLIC;
