-- Creates the group roles postcall_service and postcall_reader if the caller may, and grants them the rights that they
-- need here (deploy/SECURITY.md). Roles belong to the whole cluster, and the rights to this database. Returns the
-- statements that only a role with more rights can run, one per row; no row when all is done. `migrate` calls it when
-- it has changed something, and an administrator may call it at any time: existing roles and rights stay as they are.
CREATE OR REPLACE FUNCTION webhook_grant_roles() RETURNS SETOF text
LANGUAGE plpgsql
SET client_min_messages = error
SET search_path FROM CURRENT
AS $$
DECLARE
  home     text := current_schema();
  role     text;
  missing  boolean := false;
  need     record;
  held     boolean;
BEGIN
  FOREACH role IN ARRAY ARRAY['postcall_service', 'postcall_reader'] LOOP
    CONTINUE WHEN EXISTS (SELECT FROM pg_roles r WHERE r.rolname = role);
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', role);
    EXCEPTION
      WHEN duplicate_object OR unique_violation THEN  -- a migration of another database created it first
        NULL;
      WHEN insufficient_privilege THEN
        missing := true;
        RETURN NEXT format('CREATE ROLE %I NOLOGIN', role);
    END;
  END LOOP;
  IF missing THEN
    RETURN NEXT format('SELECT %I.webhook_grant_roles()', home);
    RETURN;
  END IF;

  -- The service: the rights that the statements of the dispatcher's store need, and no others.
  GRANT SELECT ON webhook_migrations, webhook_definitions, webhook_settings, webhook_reconciliation, webhook_recent
     TO postcall_service;
  GRANT SELECT, DELETE,
        INSERT (call_id, agent_id, cause, enqueued_at, due_at, requeues),
        UPDATE (id, due_at, requeues, awaits_analysis, unread)
     ON webhook_outbox TO postcall_service;
  GRANT USAGE ON SEQUENCE webhook_delivery_id_seq TO postcall_service;
  GRANT SELECT, DELETE,
        INSERT (id, call_id, agent_id, cause, url, outcome, reached, error, enqueued_at, due_at, claimed_at,
                finished_at, dispatcher, claim_id),
        UPDATE (outcome, reached, http_status, error, response_body, response_truncated, remote_address,
                connection_reused, certificate_ends_at, request_bytes, response_bytes, finished_at, lookup_ms,
                connect_ms, tls_ms, first_byte_ms, total_ms)
     ON webhook_deliveries TO postcall_service;
  GRANT SELECT, INSERT, DELETE ON webhook_claims TO postcall_service;
  GRANT SELECT, DELETE, INSERT (id, instance, started_at, heartbeat_at), UPDATE (heartbeats, heartbeat_at)
     ON webhook_dispatchers TO postcall_service;
  GRANT SELECT, DELETE ON webhook_summary TO postcall_service;
  GRANT SELECT ON webhook_analysis_hints TO postcall_service;
  GRANT EXECUTE ON FUNCTION webhook_make_partitions(int), webhook_drop_partitions(int), webhook_close_hours(),
                            webhook_purge(int, int), webhook_release_hinted(), webhook_release_analysed(bigint),
                            webhook_find_agents(bigint[])
     TO postcall_service;

  -- Readers may not read webhook_source, which has the callers, nor webhook_agents, which has secrets. The reports show
  -- only the name of an agent.
  GRANT SELECT ON webhook_deliveries, webhook_outbox, webhook_decisions, webhook_enqueued, webhook_declined,
                  webhook_claims, webhook_dispatchers, webhook_summary, webhook_migrations, webhook_definitions, webhook_settings,
                  webhook_failures, webhook_agent_health, webhook_certificates, webhook_reconciliation, webhook_recent,
                  webhook_partitions, webhook_open_hours
     TO postcall_reader;

  -- Rights on objects that may belong to others, and rights that every role may have anyway.
  FOR need IN
    SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), r.name) AS statement,
           format('SELECT has_database_privilege(%L, %L, ''CONNECT'')', r.name, current_database()) AS holds
      FROM unnest(ARRAY['postcall_service', 'postcall_reader']) AS r (name)
     UNION ALL
    SELECT format('GRANT USAGE ON SCHEMA %I TO %I', home, r.name),
           format('SELECT has_schema_privilege(%L, %L, ''USAGE'')', r.name, home)
      FROM unnest(ARRAY['postcall_service', 'postcall_reader']) AS r (name)
     UNION ALL
    SELECT format('GRANT SELECT ON %I.%I TO postcall_service', home, v.name),
           format('SELECT has_table_privilege(''postcall_service'', ''%I.%I'', ''SELECT'')', home, v.name)
      FROM unnest(ARRAY['webhook_source', 'webhook_agents']) AS v (name)
  LOOP
    EXECUTE need.holds INTO held;
    CONTINUE WHEN held;
    BEGIN
      EXECUTE need.statement;
    EXCEPTION WHEN insufficient_privilege THEN
      NULL;
    END;
    EXECUTE need.holds INTO held;  -- a role that may read a view but not grant that gets only a warning
    IF NOT held THEN
      RETURN NEXT need.statement;
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION webhook_grant_roles() IS
  'Creates the roles postcall_service and postcall_reader and grants them their rights here; returns the statements that only a role with more rights can run';
REVOKE ALL ON FUNCTION webhook_grant_roles() FROM PUBLIC;
