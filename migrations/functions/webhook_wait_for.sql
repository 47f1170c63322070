-- The parts that the setting postcall.wait_for lists, separated by commas, in upper or lower case. A name that is not
-- such a part is left out with a warning: calls do not wait for it, and the platform's transaction goes on. No
-- search_path is set here, as in webhook_wait_at_most.
CREATE OR REPLACE FUNCTION webhook_wait_for(setting text) RETURNS text[]
LANGUAGE plpgsql STABLE STRICT
AS $$
DECLARE
  part  text;
  parts text[] := '{}';
BEGIN
  FOREACH part IN ARRAY string_to_array(lower(setting), ','::text) LOOP
    part := btrim(part);
    IF part = 'analysis' THEN
      parts := pg_catalog.array_append(parts, part);
    ELSIF part <> '' THEN
      RAISE WARNING 'postcall.wait_for: calls cannot wait for "%"', left(part, 40);
    END IF;
  END LOOP;
  RETURN parts;
END
$$;
COMMENT ON FUNCTION webhook_wait_for(text) IS
  'The parts that a value of the setting postcall.wait_for lists';
REVOKE ALL ON FUNCTION webhook_wait_for(text) FROM PUBLIC;
