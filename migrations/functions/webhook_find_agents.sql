-- Finds the agents of rows of the outbox whose call could not be read when it was completed, and writes them into these
-- rows. A claim calls it after it has locked the rows. Returns the rows that have an agent now, with their locations;
-- when a row is not returned, its call no longer exists. An error of the source view is raised unchanged.
CREATE OR REPLACE FUNCTION webhook_find_agents(ids bigint[]) RETURNS TABLE (id bigint, agent_id text, location tid)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH found AS MATERIALIZED (
    SELECT o.id, s.agent_id
      FROM webhook_outbox o
     CROSS JOIN LATERAL (SELECT w.agent_id FROM webhook_source w WHERE w.call_id = o.call_id LIMIT 1) s
     WHERE o.id = ANY (ids) AND o.agent_id = '' AND s.agent_id IS NOT NULL)
  UPDATE webhook_outbox o
     SET agent_id = f.agent_id
    FROM found f
   WHERE o.id = f.id
  RETURNING o.id, o.agent_id, o.ctid;
END
$$;
COMMENT ON FUNCTION webhook_find_agents(bigint[]) IS
  'Finds the agents of calls that could not be read when they were completed; called by the claim';
REVOKE ALL ON FUNCTION webhook_find_agents(bigint[]) FROM PUBLIC;
