-- Calls that cannot be read for a moment when they are completed (CONTRACT §3, "Enqueueing"), and functions that
-- nobody can lead astray: where PostgreSQL has to choose an operator or a function by the types of what it is given,
-- all types are said, or it could choose one that somebody else made in this schema. And a failed ASSERT in a view of
-- the platform's is caught like any other error.

-- True when the call has an analysis, or cannot be read: what is wrong with it is for the delivery log to tell,
-- and there is nothing to wait for.
CREATE OR REPLACE FUNCTION webhook_has_analysis(call_id text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
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

-- Decides for good whether the completion of a call is sent: either the ledger or webhook_declined has the
-- call afterwards, and whichever has it first, has it for ever. Called by the triggers on calls, or by a
-- platform with tables of its own, in the transaction that completes the call.
CREATE OR REPLACE FUNCTION webhook_enqueue(call_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
#variable_conflict use_column
DECLARE
  wanted  boolean := current_setting('postcall.enqueue', true) IS NULL OR webhook_enqueue_wanted();
  setting text    := current_setting('postcall.analysis_wait', true);
  wait    interval;
  own_id  xid8;
  moment  timestamptz;
  agent   text;
  url     text;
  decided text;
  verdict text;
BEGIN
  IF octet_length($1) > 1024 THEN  -- an entry of an index cannot hold much more
    RAISE WARNING 'webhook_enqueue: an id longer than 1024 bytes, call %..., is not enqueued', left($1, 40);
    RETURN;
  END IF;

  -- The transaction's id before the clock: webhook_close_hours relies on that order to know when no
  -- transaction can still bring a row of an hour that is over.
  own_id := pg_current_xact_id();
  moment := clock_timestamp();
  IF wanted THEN
    -- A platform's own view may raise an error for a row, or a table of its be locked for longer than lock_timeout.
    -- Its transaction goes on, and the call is enqueued: the claim finds out what is wrong, if it still is. Nothing is
    -- written inside of the block, for that would cost a transaction id.
    BEGIN
      SELECT s.agent_id, a.settings #>> '{webhooks,postCall}'::text[]  -- NULL when JSON has no such place
        INTO agent, url
        FROM webhook_source s
        JOIN webhook_agents a ON a.id = s.agent_id
       WHERE s.call_id = $1
       LIMIT 1;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
      BEGIN
        SELECT s.agent_id INTO agent FROM webhook_source s WHERE s.call_id = $1 LIMIT 1;
      EXCEPTION WHEN OTHERS OR assert_failure THEN
        agent := '';  -- not known yet; see webhook_find_agents
      END;
      url := 'unreadable';
    END;
    INSERT INTO webhook_enqueued (call_id, agent_id, enqueued_at)
    SELECT $1, agent, moment
     WHERE url <> ''
       AND octet_length(agent) <= 1024
       AND NOT EXISTS (SELECT FROM webhook_declined c WHERE c.call_id = $1)
        ON CONFLICT DO NOTHING
    RETURNING agent_id INTO decided;
  END IF;

  IF decided IS NOT NULL THEN
    IF setting <> '' AND setting <> '0' THEN
      wait := nullif(webhook_analysis_wait(setting), interval '0');
      IF wait IS NOT NULL AND webhook_has_analysis($1) THEN
        wait := NULL;
      END IF;
    END IF;
    INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at, awaits_analysis)
    VALUES ($1, agent, 'completion', moment, moment + coalesce(wait, interval '0'), wait IS NOT NULL);
    RETURN;
  END IF;

  -- Not let in. Why not is written down once; a call that is in the ledger has been decided.
  BEGIN
    SELECT CASE
             WHEN NOT wanted THEN 'switched_off'
             WHEN octet_length(s.agent_id) > 1024 THEN 'agent_id_too_long'
             ELSE 'no_url'
           END
      INTO verdict
      FROM webhook_source s
     WHERE s.call_id = $1;
  EXCEPTION WHEN OTHERS OR assert_failure THEN
    verdict := 'switched_off';  -- when wanted, the call was read or is in the ledger
  END;
  IF verdict IS NULL THEN
    RAISE WARNING 'webhook_enqueue: there is no call %, nothing is enqueued', coalesce($1, 'NULL');
    RETURN;
  ELSIF verdict = 'agent_id_too_long' THEN
    RAISE WARNING 'webhook_enqueue: an id longer than 1024 bytes, the agent of call %, which is not enqueued', $1;
  END IF;
  INSERT INTO webhook_declined (call_id, reason, decided_at)
  SELECT $1, verdict, moment
   WHERE NOT EXISTS (SELECT FROM webhook_enqueued e WHERE e.call_id = $1)
      ON CONFLICT DO NOTHING;
END
$$;

-- Finds the agents of rows of the outbox whose call could not be read when it was completed, and writes them down.
-- Called by a claim that holds these rows. Returns the rows that have an agent now, and where they are; a row that
-- is not returned has no call any more. Raises what the source raises.
CREATE FUNCTION webhook_find_agents(ids bigint[]) RETURNS TABLE (id bigint, agent_id text, place tid)
LANGUAGE plpgsql SECURITY DEFINER AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH found AS MATERIALIZED (
    SELECT o.id, o.call_id, s.agent_id
      FROM webhook_outbox o
     CROSS JOIN LATERAL (SELECT w.agent_id FROM webhook_source w WHERE w.call_id = o.call_id LIMIT 1) s
     WHERE o.id = ANY (ids) AND o.agent_id = '' AND s.agent_id IS NOT NULL),
  ledger AS (
    UPDATE webhook_enqueued e
       SET agent_id = f.agent_id
      FROM found f
     WHERE e.call_id = f.call_id AND e.agent_id = '')
  UPDATE webhook_outbox o
     SET agent_id = f.agent_id
    FROM found f
   WHERE o.id = f.id
  RETURNING o.id, o.agent_id, o.ctid;
END
$$;
COMMENT ON COLUMN webhook_outbox.agent_id IS 'Empty: could not be read when the call was completed; the claim finds it';
COMMENT ON FUNCTION webhook_find_agents(bigint[]) IS
  'Finds the agents of calls that could not be read when they were completed; called by the claim';

-- Makes waiting calls due whose analysis is committed: those that webhook_analysis_ready could not see. Called
-- by every dispatcher about once a second. When none waits, it reads empty indexes. A call is looked at every
-- second until all transactions are over that were open when it was first seen, for one of them may bring its
-- analysis; later every 32nd time, in case that its row was locked at the wrong moment, so that a hundred
-- thousand calls without analysis cost little. Returns how many became due; at most 1000 at once.
CREATE OR REPLACE FUNCTION webhook_release_analysed(turn bigint DEFAULT extract(epoch FROM clock_timestamp())::bigint)
RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
-- These tables fill and empty faster than statistics follow: no plan may read them whole.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  over     xid8;
  ready    bigint[];
  released int;
BEGIN
  WITH hinted AS (
    DELETE FROM webhook_analysis_hints
     WHERE ctid IN (SELECT ctid FROM webhook_analysis_hints LIMIT 1000 FOR UPDATE SKIP LOCKED)
    RETURNING call_id)
  UPDATE webhook_outbox
     SET watched_until = NULL
   WHERE id IN (SELECT o.id
                  FROM webhook_outbox o
                 WHERE o.call_id IN (SELECT h.call_id FROM hinted h) AND o.awaits_analysis
                   FOR UPDATE SKIP LOCKED);

  -- Whose trigger did not see the row had its id before this statement began, so a lower one than is drawn here.
  UPDATE webhook_outbox
     SET watched_until = pg_current_xact_id()
   WHERE id IN (SELECT o.id
                  FROM webhook_outbox o
                 WHERE o.awaits_analysis AND o.watched_until IS DISTINCT FROM '0' AND o.watched_until IS NULL
                 LIMIT 5000
                   FOR UPDATE SKIP LOCKED);
  over := pg_snapshot_xmin(pg_current_snapshot());  -- before the look, so that the look sees what they wrote

  BEGIN
    ready := ARRAY(
      SELECT o.id
        FROM (SELECT w.id, w.call_id
                FROM (SELECT f.id, f.call_id FROM webhook_outbox f
                       WHERE f.awaits_analysis AND f.watched_until IS DISTINCT FROM '0'
                       ORDER BY f.id DESC
                       LIMIT 5000) w
               UNION
              SELECT t.id, t.call_id FROM webhook_outbox t
               WHERE t.awaits_analysis AND t.id % 32::bigint = turn % 32::bigint) o
       CROSS JOIN LATERAL (
               SELECT FROM webhook_source s
                WHERE s.call_id = o.call_id
                  AND pg_catalog.num_nonnulls(s.summary, s.mood, s.score, s.call_outcome, s.classification,
                                              s.interests_and_needs, s.action_items, s.sentiment) > 0
                LIMIT 1) analysed
       LIMIT 1000);
  EXCEPTION WHEN OTHERS OR assert_failure THEN  -- one cannot be read: one by one
    ready := ARRAY(
      SELECT o.id
        FROM (SELECT f.id, f.call_id FROM webhook_outbox f
               WHERE f.awaits_analysis AND f.watched_until IS DISTINCT FROM '0'
               UNION
              SELECT t.id, t.call_id FROM webhook_outbox t
               WHERE t.awaits_analysis AND t.id % 32::bigint = turn % 32::bigint) o
       WHERE webhook_has_analysis(o.call_id)
       LIMIT 1000);
  END;
  UPDATE webhook_outbox
     SET due_at = least(due_at, clock_timestamp()), awaits_analysis = false
   WHERE id IN (SELECT o.id FROM webhook_outbox o
                 WHERE o.id = ANY (ready) AND o.awaits_analysis
                   FOR UPDATE SKIP LOCKED);
  GET DIAGNOSTICS released = ROW_COUNT;

  UPDATE webhook_outbox
     SET watched_until = '0'
   WHERE id IN (SELECT o.id FROM webhook_outbox o
                 WHERE o.awaits_analysis AND o.watched_until IS DISTINCT FROM '0' AND o.watched_until <= over
                 LIMIT 5000
                   FOR UPDATE SKIP LOCKED);
  RETURN released;
END
$$;

-- Makes the partitions from yesterday to days_ahead days after today (UTC). Returns how many days ahead of
-- today exist without a gap, -1 when even today's is missing.
-- Not by CREATE … PARTITION OF, which needs the log for itself alone: queued behind one long report, it would
-- stop every claim. ATTACH conflicts with neither; what it can wait for is another of its kind or a VACUUM, and
-- then it gives up with 55P03 (lock_not_available) and is called again later.
CREATE OR REPLACE FUNCTION webhook_make_partitions(days_ahead int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '1s' AS $$
DECLARE
  today   date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
  missing date;
  name    text;
BEGIN
  IF pg_try_advisory_xact_lock('webhook_deliveries'::regclass::oid::bigint) THEN
    FOR missing IN
      SELECT today + n
        FROM generate_series(-1, least(days_ahead, 366)) n
       WHERE today + n NOT IN (SELECT p.day FROM webhook_partitions p)
       ORDER BY n
    LOOP
      name := 'webhook_deliveries_' || to_char(missing::timestamp, 'YYYYMMDD'::text);
      EXECUTE pg_catalog.format('CREATE TABLE IF NOT EXISTS %I (LIKE webhook_deliveries INCLUDING ALL)', name);
      EXECUTE pg_catalog.format('ALTER TABLE webhook_deliveries ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                                name, to_char(missing::timestamp, 'YYYY-MM-DD 00:00:00+00'::text),
                                to_char((missing + 1)::timestamp, 'YYYY-MM-DD 00:00:00+00'::text));
    END LOOP;
  END IF;
  RETURN (SELECT count(*) - 1
            FROM (SELECT p.day - row_number() OVER (ORDER BY p.day)::int AS run
                    FROM webhook_partitions p
                   WHERE p.day >= today) days
           WHERE days.run = today - 1);
END
$$;

-- Sums up hours, in order, for about two seconds; returns how many. An hour closes when it is over for an hour, none
-- of its completions waits or is in flight, and no transaction is open that could still bring one: a platform may
-- commit hours after webhook_enqueue read the clock. An hour later, for a clock that is set back, or that of a replica
-- which takes over and is behind.
CREATE OR REPLACE FUNCTION webhook_close_hours() RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '1s' AS $$
#variable_conflict use_variable
DECLARE
  mark   webhook_settled;
  opened timestamptz;
  ends   timestamptz;
  hour   timestamptz;
  closed int := 0;
BEGIN
  IF NOT pg_try_advisory_xact_lock('webhook_summary'::regclass::oid::bigint) THEN
    RETURN 0;
  END IF;

  -- Whoever read the clock before next_until had its transaction id before that, so a lower one than
  -- next_after, which this function drew afterwards. (now() is before this transaction's id, too.)
  -- An id from the future means that the database was restored into another cluster: begin anew.
  SELECT * INTO mark FROM webhook_settled;
  IF mark.next_after <= pg_snapshot_xmin(pg_current_snapshot()) THEN
    mark.settled_until := mark.next_until;
    mark.next_after := NULL;
  END IF;
  IF mark.next_after IS NULL OR mark.next_after > pg_current_xact_id() THEN
    mark.next_until := now();
    mark.next_after := pg_current_xact_id();
  END IF;
  UPDATE webhook_settled
     SET settled_until = mark.settled_until, next_until = mark.next_until, next_after = mark.next_after;

  -- A late outcome that replaces `unknown` changes the log and deletes the hour's row in one transaction. This
  -- lock lets it do both before the count, or both after.
  LOCK TABLE webhook_summary IN SHARE ROW EXCLUSIVE MODE;

  -- One statement, one snapshot: a row that is given back moves from the log to the outbox.
  SELECT (SELECT min(o.opens_at) FROM webhook_open_hours o),
         date_trunc('hour', least(
           mark.settled_until - interval '1 hour',
           (SELECT min(o.enqueued_at) FROM webhook_outbox o WHERE o.cause = 'completion'),
           (SELECT min(d.enqueued_at) FROM webhook_deliveries d
             WHERE d.cause = 'completion' AND d.outcome = 'in_flight')), 'UTC')
    INTO opened, ends;
  FOR hour IN
    SELECT h
      FROM generate_series(opened, ends - interval '1 hour', interval '1 hour') h
     WHERE NOT EXISTS (SELECT FROM webhook_summary s WHERE s.hour = h)
  LOOP
    INSERT INTO webhook_summary (
      hour, enqueued, delivered, rejected, timeout, dns_error, connect_error, tls_error, network_error,
      blocked, invalid_url, skipped, not_sent, unknown)
    SELECT hour,
           (SELECT count(*) FROM webhook_enqueued e
             WHERE e.enqueued_at >= hour AND e.enqueued_at < hour + interval '1 hour'),
           count(*) FILTER (WHERE d.outcome = 'delivered'),
           count(*) FILTER (WHERE d.outcome = 'rejected'),
           count(*) FILTER (WHERE d.outcome = 'timeout'),
           count(*) FILTER (WHERE d.outcome = 'dns_error'),
           count(*) FILTER (WHERE d.outcome = 'connect_error'),
           count(*) FILTER (WHERE d.outcome = 'tls_error'),
           count(*) FILTER (WHERE d.outcome = 'network_error'),
           count(*) FILTER (WHERE d.outcome = 'blocked'),
           count(*) FILTER (WHERE d.outcome = 'invalid_url'),
           count(*) FILTER (WHERE d.outcome = 'skipped'),
           count(*) FILTER (WHERE d.outcome = 'not_sent'),
           count(*) FILTER (WHERE d.outcome = 'unknown')
      FROM webhook_deliveries d
     WHERE d.cause = 'completion'
       AND d.enqueued_at >= hour AND d.enqueued_at < hour + interval '1 hour'
       AND d.claimed_at >= hour - interval '1 hour';  -- earlier days are not read; an hour for a clock set back
    closed := closed + 1;
    EXIT WHEN clock_timestamp() > statement_timestamp() + interval '2 seconds';
  END LOOP;
  RETURN closed;
END
$$;

-- The claim walks this index, from agent to agent. Calls that await their analysis are not in it: however many they
-- are, no claim steps over them. Each claim first makes those ready whose wait is over, found by the other index.
CREATE INDEX webhook_outbox_ready ON webhook_outbox (agent_id, due_at, id) WHERE NOT awaits_analysis;
CREATE INDEX webhook_outbox_ripening ON webhook_outbox (due_at) WHERE awaits_analysis;
DROP INDEX webhook_outbox_round_robin;
COMMENT ON COLUMN webhook_outbox.awaits_analysis IS
  'Becomes due early when the analysis is committed; false when that has happened, or when the wait is over';

-- How often a call could not be read is counted apart from how often it was given back: of the two, each has an end
-- of its own (CONTRACT §2).
ALTER TABLE webhook_outbox ADD COLUMN unread smallint NOT NULL DEFAULT 0;
COMMENT ON COLUMN webhook_outbox.unread IS
  'How often it was put off because its call could not be read: an error of a source view, or too large to be read in time';

-- Makes the two roles where the caller may, and grants them what they need here. Returns what is left for somebody
-- with more rights, a statement a row; none when all is done. Called by `migrate`, and by an administrator at any
-- time: what is there already stays as it is.
CREATE OR REPLACE FUNCTION webhook_grant_roles() RETURNS SETOF text
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
        UPDATE (due_at, returns, awaits_analysis, unread)
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
                            webhook_purge(int), webhook_release_hinted(), webhook_release_analysed(bigint),
                            webhook_find_agents(bigint[])
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

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY[
    'webhook_has_analysis(text)', 'webhook_enqueue(text)', 'webhook_find_agents(bigint[])',
    'webhook_release_analysed(bigint)', 'webhook_make_partitions(int)', 'webhook_close_hours()',
    'webhook_grant_roles()']
  LOOP
    EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', name, current_schema());
  END LOOP;
END
$$;
REVOKE ALL ON FUNCTION webhook_find_agents(bigint[]) FROM PUBLIC;

-- Only a platform with tables of its own calls these two itself. The triggers of ours call them as the owner, and
-- whoever else could, could have a call sent before it is completed, or declined for good.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM webhook_settings WHERE key = 'own_tables' AND value = 'true') THEN
    REVOKE EXECUTE ON FUNCTION webhook_enqueue(text), webhook_analysis_ready(text) FROM PUBLIC;
  END IF;
END
$$;

SELECT webhook_grant_roles();
