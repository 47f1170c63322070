-- For the triggers on calls (triggers/calls). It needs only the row itself, before (OLD, NULL for an INSERT) and after
-- (NEW, NULL for a DELETE).
CREATE OR REPLACE FUNCTION webhook_call_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
-- As for webhook_enqueue.
SET enable_seqscan = off
SET search_path FROM CURRENT
AS $$
BEGIN
  IF NEW.status = 'completed' AND OLD.status IS DISTINCT FROM 'completed' THEN
    IF octet_length(NEW.id::text) > 1024 THEN  -- an index entry cannot be much longer
      RAISE WARNING 'webhook_enqueue: an id longer than 1024 bytes, call %..., is not enqueued', left(NEW.id::text, 40);
    -- For an import, of any size, this writes nothing: see below.
    ELSIF current_setting('postcall.enqueue', true) IS NULL OR webhook_enqueue_wanted() THEN
      PERFORM webhook_decide(NEW.id::text, coalesce(NEW.agent_id::text, ''));
    END IF;
  -- A completed call without a decision was completed before installation, or with postcall.enqueue off, or longer ago
  -- than decisions are kept. This is recorded before the row loses its status, its id or its life. Without the record, a
  -- later completion of the same call would look like its first.
  ELSIF OLD.status = 'completed' AND (NEW.status IS DISTINCT FROM 'completed' OR NEW.id IS DISTINCT FROM OLD.id) THEN
    INSERT INTO webhook_decisions (call_id, decided_at, declined)
    SELECT OLD.id::text, clock_timestamp(), 'completed_unseen'
     WHERE octet_length(OLD.id::text) <= 1024
        ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION webhook_call_changed() IS
  'Trigger on calls: a row became completed, or a completed row gets another status or id or is deleted';
REVOKE ALL ON FUNCTION webhook_call_changed() FROM PUBLIC;
