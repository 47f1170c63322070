-- False when the setting postcall.enqueue is off, for an import. No search_path is set here, as in webhook_wait_at_most.
CREATE OR REPLACE FUNCTION webhook_enqueue_wanted() RETURNS boolean
LANGUAGE plpgsql STABLE
AS $$
DECLARE
  setting text := current_setting('postcall.enqueue', true);
BEGIN
  RETURN setting IS NULL OR lower(btrim(setting)) NOT IN ('off', 'false', 'no', '0');
END
$$;
COMMENT ON FUNCTION webhook_enqueue_wanted() IS
  'False when the setting postcall.enqueue is off, false, no or 0';
REVOKE ALL ON FUNCTION webhook_enqueue_wanted() FROM PUBLIC;
