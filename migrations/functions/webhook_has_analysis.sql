-- True when the call has an analysis. Also true when the call cannot be read: then waiting does not help, and the
-- delivery log says what is wrong.
CREATE OR REPLACE FUNCTION webhook_has_analysis(call_id text) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
BEGIN
  RETURN EXISTS (
    SELECT FROM webhook_source s
     WHERE s.call_id = $1
       AND pg_catalog.num_nonnulls(s.summary, s.mood, s.score, s.call_outcome, s.classification,
                                   s.interests_and_needs, s.action_items, s.sentiment) > 0);
EXCEPTION WHEN OTHERS OR assert_failure THEN
  RETURN true;
END
$$;
COMMENT ON FUNCTION webhook_has_analysis(text) IS
  'True when a call need no longer wait for its analysis';
REVOKE ALL ON FUNCTION webhook_has_analysis(text) FROM PUBLIC;
