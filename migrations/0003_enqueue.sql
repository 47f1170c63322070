-- How a call enters the outbox (CONTRACT §3, "Enqueueing" and "Waiting for the analysis"). All of this runs
-- inside the platform's own transactions: it takes no lock that another transaction may hold for long, and no
-- value in any table or setting makes it fail.

-- The setting postcall.analysis_wait as an interval, from 0 to 7 days: what cannot be read or is negative is
-- 0, what is longer is cut. Bare numbers are seconds. Only a spelled-out interval costs an exception block.
CREATE FUNCTION webhook_analysis_wait(setting text) RETURNS interval
LANGUAGE plpgsql STABLE AS $$
DECLARE
  spelled interval;
BEGIN
  IF setting IS NULL OR setting IN ('', '0') THEN
    RETURN interval '0';
  ELSIF setting ~ '^ *[0-9]{1,9}([.][0-9]{1,9})? *$' THEN
    spelled := make_interval(secs => setting::double precision);
  ELSE
    BEGIN
      spelled := setting::interval;
    EXCEPTION WHEN OTHERS THEN
      RETURN interval '0';
    END;
  END IF;
  RETURN CASE
    WHEN spelled < interval '0' THEN interval '0'
    WHEN spelled > interval '7 days' THEN interval '7 days'
    ELSE spelled
  END;
END
$$;
COMMENT ON FUNCTION webhook_analysis_wait(text) IS
  'What a value of the setting postcall.analysis_wait means, from 0 to 7 days';

-- False when the setting postcall.enqueue is off, for an import.
CREATE FUNCTION webhook_enqueue_wanted() RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
  setting text := current_setting('postcall.enqueue', true);
BEGIN
  RETURN setting IS NULL OR lower(btrim(setting)) NOT IN ('off', 'false', 'no', '0');
END
$$;
COMMENT ON FUNCTION webhook_enqueue_wanted() IS
  'False when the setting postcall.enqueue is off, false, no or 0';

-- True when the call has an analysis, or cannot be read: what is wrong with it is for the delivery log to tell,
-- and there is nothing to wait for.
CREATE FUNCTION webhook_has_analysis(call_id text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (
    SELECT FROM webhook_source s
     WHERE s.call_id = $1
       AND num_nonnulls(s.summary, s.mood, s.score, s.call_outcome, s.classification,
                        s.interests_and_needs, s.action_items, s.sentiment) > 0);
EXCEPTION WHEN OTHERS THEN
  RETURN true;
END
$$;
COMMENT ON FUNCTION webhook_has_analysis(text) IS 'True when a call need not wait for its analysis any more';

-- Decides for good whether the completion of a call is sent: either the ledger or webhook_declined has the
-- call afterwards, and whichever has it first, has it for ever. Called by the triggers on calls, or by a
-- platform with tables of its own, in the transaction that completes the call.
CREATE FUNCTION webhook_enqueue(call_id text) RETURNS void
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
    -- A platform's own view may raise an error for a row. Its transaction goes on, and the call is enqueued: the
    -- delivery log will tell. Nothing is written inside of the block, for that would cost a transaction id.
    BEGIN
      SELECT s.agent_id, a.settings #>> '{webhooks,postCall}'  -- NULL when JSON has no such place
        INTO agent, url
        FROM webhook_source s
        JOIN webhook_agents a ON a.id = s.agent_id
       WHERE s.call_id = $1
       LIMIT 1;
    EXCEPTION WHEN OTHERS THEN
      BEGIN
        SELECT s.agent_id INTO agent FROM webhook_source s WHERE s.call_id = $1 LIMIT 1;
      EXCEPTION WHEN OTHERS THEN
        agent := '';
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
  SELECT CASE
           WHEN NOT wanted THEN 'switched_off'
           WHEN octet_length(s.agent_id) > 1024 THEN 'agent_id_too_long'
           ELSE 'no_url'
         END
    INTO verdict
    FROM webhook_source s
   WHERE s.call_id = $1;
  IF NOT FOUND THEN
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
COMMENT ON FUNCTION webhook_enqueue(text) IS
  'Enqueues a completed call, once and for good; to be called in the transaction that completes it';

-- Makes a waiting call due, because its analysis is there. Called by the trigger on call_analysis, or by a
-- platform with tables of its own, in the transaction that writes the analysis.
-- It sees only what is committed or its own. When the call is being completed in another transaction at this
-- moment, neither sees the other's row, and to wait here for that one's end could deadlock the platform:
-- webhook_release_analysed finds the pair once both are committed.
CREATE FUNCTION webhook_analysis_ready(call_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
#variable_conflict use_column
BEGIN
  -- In the stricter isolation levels, to touch a row that a dispatcher has meanwhile claimed would be a
  -- serialization failure of the platform's transaction. webhook_release_analysed sees to the row then.
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    IF coalesce(current_setting('postcall.analysis_wait', true), '') NOT IN ('', '0') AND octet_length($1) <= 1024 THEN
      INSERT INTO webhook_analysis_hints VALUES ($1);
    END IF;
    RETURN;
  END IF;
  -- A row that is locked is being claimed or made due already.
  UPDATE webhook_outbox
     SET due_at = least(due_at, clock_timestamp()), awaits_analysis = false
   WHERE id IN (SELECT o.id
                  FROM webhook_outbox o
                 WHERE o.call_id = $1 AND o.awaits_analysis
                   FOR UPDATE SKIP LOCKED);
END
$$;
COMMENT ON FUNCTION webhook_analysis_ready(text) IS
  'Makes a call due that waits for its analysis; to be called in the transaction that writes the analysis';

-- Makes waiting calls due whose analysis is committed: those that webhook_analysis_ready could not see. Called
-- by every dispatcher about once a second. When none waits, it reads empty indexes. A call is looked at every
-- second until all transactions are over that were open when it was first seen, for one of them may bring its
-- analysis; later every 32nd time, in case that its row was locked at the wrong moment, so that a hundred
-- thousand calls without analysis cost little. Returns how many became due; at most 1000 at once.
CREATE FUNCTION webhook_release_analysed(turn bigint DEFAULT extract(epoch FROM clock_timestamp())::bigint)
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
              SELECT t.id, t.call_id FROM webhook_outbox t WHERE t.awaits_analysis AND t.id % 32 = turn % 32) o
       CROSS JOIN LATERAL (
               SELECT FROM webhook_source s
                WHERE s.call_id = o.call_id
                  AND num_nonnulls(s.summary, s.mood, s.score, s.call_outcome, s.classification,
                                   s.interests_and_needs, s.action_items, s.sentiment) > 0
                LIMIT 1) analysed
       LIMIT 1000);
  EXCEPTION WHEN OTHERS THEN  -- one cannot be read: one by one
    ready := ARRAY(
      SELECT o.id
        FROM (SELECT f.id, f.call_id FROM webhook_outbox f
               WHERE f.awaits_analysis AND f.watched_until IS DISTINCT FROM '0'
               UNION
              SELECT t.id, t.call_id FROM webhook_outbox t WHERE t.awaits_analysis AND t.id % 32 = turn % 32) o
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
COMMENT ON FUNCTION webhook_release_analysed(bigint) IS
  'Makes calls due whose analysis was committed while they were being completed; dispatchers call it every second';

-- The functions of the triggers on the platform's tables (0006).

CREATE FUNCTION webhook_call_completed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  -- An import writes nothing here, however many calls it brings; see webhook_call_uncompleted.
  IF current_setting('postcall.enqueue', true) IS NULL OR webhook_enqueue_wanted() THEN
    PERFORM webhook_enqueue(NEW.id);
  END IF;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION webhook_call_completed() IS 'Trigger on calls: a row became completed';

-- A completed call that is not in the ledger was completed before installation, or with postcall.enqueue off,
-- or longer ago than the ledger is kept. Before its row loses the status, that is written down, or a later
-- completion of the same call would look like its first.
CREATE FUNCTION webhook_call_uncompleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  INSERT INTO webhook_declined (call_id, reason, decided_at)
  SELECT OLD.id, 'completed_unseen', clock_timestamp()
   WHERE octet_length(OLD.id) <= 1024
     AND NOT EXISTS (SELECT FROM webhook_enqueued e WHERE e.call_id = OLD.id)
      ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION webhook_call_uncompleted() IS
  'Trigger on calls: a completed row gets another status or id, or goes';

CREATE FUNCTION webhook_calls_truncated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  INSERT INTO webhook_declined (call_id, reason, decided_at)
  SELECT s.call_id, 'completed_unseen', clock_timestamp()
    FROM webhook_source s
   WHERE s.completed
     AND octet_length(s.call_id) <= 1024
     AND NOT EXISTS (SELECT FROM webhook_enqueued e WHERE e.call_id = s.call_id)
      ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION webhook_calls_truncated() IS 'Trigger on calls: as webhook_call_uncompleted, for TRUNCATE';

CREATE FUNCTION webhook_analysis_written() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  PERFORM webhook_analysis_ready(NEW.call_id);
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION webhook_analysis_written() IS 'Trigger on call_analysis: a row was inserted or updated';

-- Whoever calls them, they see this schema and nothing that the caller put before it. Only the two functions
-- that a platform calls itself are open to everybody.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY[
    'webhook_analysis_wait(text)', 'webhook_enqueue_wanted()', 'webhook_has_analysis(text)', 'webhook_enqueue(text)',
    'webhook_analysis_ready(text)', 'webhook_release_analysed(bigint)', 'webhook_call_completed()',
    'webhook_call_uncompleted()', 'webhook_calls_truncated()', 'webhook_analysis_written()']
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name);
    CONTINUE WHEN name IN ('webhook_analysis_wait(text)', 'webhook_enqueue_wanted()');
    EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', name, current_schema());
  END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION webhook_enqueue(text), webhook_analysis_ready(text) TO PUBLIC;
