-- For the triggers on calls (triggers/calls). It needs only the row itself.
CREATE OR REPLACE FUNCTION webhook_call_completed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
  IF octet_length(NEW.id::text) > 1024 THEN  -- an index entry cannot be much longer
    RAISE WARNING 'webhook_enqueue: an id longer than 1024 bytes, call %..., is not enqueued', left(NEW.id::text, 40);
  -- For an import, of any size, this writes nothing: see webhook_call_uncompleted.
  ELSIF current_setting('postcall.enqueue', true) IS NULL OR webhook_enqueue_wanted() THEN
    PERFORM webhook_decide(NEW.id::text, coalesce(NEW.agent_id::text, ''));
  END IF;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION webhook_call_completed() IS
  'Trigger on calls: a row became completed';
REVOKE ALL ON FUNCTION webhook_call_completed() FROM PUBLIC;
