-- For the trigger on call_analysis.
CREATE OR REPLACE FUNCTION webhook_analysis_written() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
  PERFORM webhook_ready(NEW.call_id);
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION webhook_analysis_written() IS
  'Trigger on call_analysis: a row was inserted or updated';
REVOKE ALL ON FUNCTION webhook_analysis_written() FROM PUBLIC;
