-- Who may do what. Two group roles, which nobody logs in as: postcall_service has what `run` needs and no more,
-- postcall_reader reads the log and the views. A login role is made a member of one of them. What is left, such as
-- webhook_mark_suspect at the end of this file, is for the owner of the tables alone.
-- Roles belong to the whole cluster, the rights to this database.

-- A dispatcher writes what came of its deliveries, and its role must be able to: this keeps the role from changing
-- what is over. Later words are for a row that says `unknown`; one that is given back goes while it is in flight.
-- AFTER and WHEN: a row that may change costs no call of the function. The owner is not held up (retention, a person
-- who erases something), nor is any role that has nothing to do with postcall_service.
CREATE FUNCTION webhook_keep_history() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'postcall_service' AND pg_has_role(r.oid, 'MEMBER'))
     AND NOT pg_has_role((SELECT c.relowner FROM pg_class c WHERE c.oid = TG_RELID), 'USAGE') THEN
    RAISE EXCEPTION USING
      ERRCODE = 'insufficient_privilege',
      MESSAGE = format('the role %s may not change what is over: %s on %s', current_user, TG_OP, TG_RELID::regclass);
  END IF;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION webhook_keep_history() IS
  'Trigger: members of postcall_service cannot change what is over';

CREATE TRIGGER webhook_outcome_changed
  AFTER UPDATE ON webhook_deliveries
  FOR EACH ROW WHEN (OLD.outcome NOT IN ('in_flight', 'unknown'))
  EXECUTE FUNCTION webhook_keep_history();

CREATE TRIGGER webhook_outcome_deleted
  AFTER DELETE ON webhook_deliveries
  FOR EACH ROW WHEN (OLD.outcome <> 'in_flight')
  EXECUTE FUNCTION webhook_keep_history();

-- A late outcome reopens its hour, unless what it was counted from has left the log.
CREATE TRIGGER webhook_sum_deleted
  AFTER DELETE ON webhook_summary
  FOR EACH ROW WHEN (OLD.final)
  EXECUTE FUNCTION webhook_keep_history();

-- Makes the two roles where the caller may, and grants them what they need here. Returns what is left for somebody
-- with more rights, a statement a row; none when all is done. Called by `migrate`, and by an administrator at any
-- time: what is there already stays as it is.
CREATE FUNCTION webhook_grant_roles() RETURNS SETOF text
LANGUAGE plpgsql SET client_min_messages = error AS $$
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
      WHEN duplicate_object OR unique_violation THEN  -- another database of the cluster was quicker
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

  -- The service: each statement of the dispatcher's store, and nothing beside it.
  GRANT SELECT ON webhook_migrations, webhook_settings, webhook_reconciliation TO postcall_service;
  GRANT SELECT, DELETE,
        INSERT (id, call_id, agent_id, cause, enqueued_at, due_at, returns),
        UPDATE (due_at, returns)
     ON webhook_outbox TO postcall_service;
  GRANT SELECT, DELETE,
        INSERT (id, call_id, agent_id, cause, url, outcome, reached, error, enqueued_at, due_at, claimed_at,
                finished_at, dispatcher, claim_id),
        UPDATE (outcome, reached, http_status, error, response_body, response_truncated, remote_address,
                connection_reused, certificate_ends_at, request_bytes, response_bytes, finished_at, lookup_ms,
                connect_ms, tls_ms, first_byte_ms, total_ms)
     ON webhook_deliveries TO postcall_service;
  GRANT SELECT, DELETE, INSERT (id, instance, started_at, beat_at), UPDATE (beats, beat_at)
     ON webhook_dispatchers TO postcall_service;
  GRANT SELECT, DELETE ON webhook_summary TO postcall_service;
  GRANT EXECUTE ON FUNCTION webhook_make_partitions(int), webhook_drop_partitions(int), webhook_close_hours(),
                            webhook_purge(int), webhook_release_hinted(), webhook_release_analysed(bigint)
     TO postcall_service;

  -- Readers: not webhook_source, which has the callers, nor webhook_agents, which has secrets. What the reports show
  -- of an agent is its name.
  GRANT SELECT ON webhook_deliveries, webhook_outbox, webhook_enqueued, webhook_declined, webhook_dispatchers,
                  webhook_summary, webhook_migrations, webhook_settings, webhook_failures, webhook_agent_health,
                  webhook_reconciliation, webhook_partitions, webhook_open_hours
     TO postcall_reader;

  -- What may belong to others, and what everybody may have anyway.
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
    EXECUTE need.holds INTO held;  -- who may read a view, yet not let others, is refused with a warning only
    IF NOT held THEN
      RETURN NEXT need.statement;
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION webhook_grant_roles() IS
  'Makes the roles postcall_service and postcall_reader and grants them their rights here; returns the statements that are left for somebody with more rights';

-- After PostgreSQL lost commits (a restore, a fail-over to a replica that lagged) what waits or is in flight may have
-- been sent already, by a claim that is lost: this makes it `unknown`, so that no dispatcher sends it. Calls that were
-- enqueued at `enqueued_before` or later stay. Returns how many became unknown.
-- To be called before a dispatcher is started; it refuses while one lives.
CREATE FUNCTION webhook_mark_suspect(enqueued_before timestamptz) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  moment  timestamptz := clock_timestamp();
  words   text := 'The database lost commits, by a restore or a fail-over. The call may have arrived before; it is not sent again.';
  alive   record;
  waited  int;
  flying  int;
BEGIN
  IF enqueued_before IS NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'null_value_not_allowed',
      MESSAGE = 'webhook_mark_suspect wants the moment up to which calls are suspect; infinity for all that wait';
  END IF;
  -- Nobody registers, and so nobody claims, until this is over.
  LOCK TABLE webhook_dispatchers IN SHARE ROW EXCLUSIVE MODE;
  SELECT d.instance, d.beat_at INTO alive
    FROM webhook_dispatchers d
   WHERE d.beat_at > moment - interval '30 seconds'
   ORDER BY d.beat_at DESC
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_in_use',
      MESSAGE = format('the dispatcher %s was alive at %s: stop every dispatcher first', alive.instance, alive.beat_at),
      HINT = 'One that was killed, or that ran when the backup was made, counts as alive for 30 s.';
  END IF;
  -- Should one run somewhere that cannot reach this database: what it claimed it may no longer send.
  DELETE FROM webhook_dispatchers;

  PERFORM webhook_make_partitions(7);  -- a backup may be older than its partitions reach
  WITH suspect AS (
    DELETE FROM webhook_outbox o
     WHERE o.enqueued_at < enqueued_before
    RETURNING o.id, o.call_id, o.agent_id, o.cause, o.enqueued_at, o.due_at)
  INSERT INTO webhook_deliveries (
    id, call_id, agent_id, cause, outcome, error, enqueued_at, due_at, claimed_at, finished_at, dispatcher, claim_id)
  SELECT s.id, s.call_id, s.agent_id, s.cause, 'unknown', words, s.enqueued_at, s.due_at, moment, moment,
         'webhook_mark_suspect', gen_random_uuid()
    FROM suspect s;
  GET DIAGNOSTICS waited = ROW_COUNT;

  UPDATE webhook_deliveries
     SET outcome = 'unknown', finished_at = moment, error = words
   WHERE outcome = 'in_flight';
  GET DIAGNOSTICS flying = ROW_COUNT;
  RETURN waited + flying;
END
$$;
COMMENT ON FUNCTION webhook_mark_suspect(timestamptz) IS
  'After lost commits, before a dispatcher is started: what was enqueued before that moment and waits, and what is in flight, becomes unknown and is not sent; returns how many';

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY[
    'webhook_keep_history()', 'webhook_grant_roles()', 'webhook_mark_suspect(timestamptz)']
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name);
    EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', name, current_schema());
  END LOOP;
END
$$;

SELECT webhook_grant_roles();
