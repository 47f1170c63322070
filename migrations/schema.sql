-- The database as `migrate` makes it: to be read, not to be run. The bodies of functions and views are in functions/ and
-- views/. A test compares this file with a fresh database, and says how to renew it.

CREATE SEQUENCE webhook_delivery_id_seq AS bigint;

-- Why a delivery is made
CREATE DOMAIN webhook_cause AS text CHECK ((VALUE = ANY (ARRAY['completion'::text, 'resend'::text, 'test'::text])));

-- Why a completed call is not enqueued
CREATE DOMAIN webhook_decline_reason AS text CHECK ((VALUE = ANY (ARRAY['no_url'::text, 'agent_id_too_long'::text, 'switched_off'::text, 'completed_unseen'::text])));

-- The platform's
CREATE TABLE agents (
  id text NOT NULL,
  name text,
  settings jsonb NOT NULL DEFAULT '{}'::jsonb,
  CONSTRAINT agents_pkey PRIMARY KEY (id)
);

-- The platform's
CREATE TABLE call_analysis (
  call_id text NOT NULL,
  summary text,
  mood text,
  score numeric,
  call_outcome text,
  classification text,
  interests_and_needs jsonb,
  action_items jsonb,
  sentiment jsonb,
  CONSTRAINT call_analysis_call_id_fkey FOREIGN KEY (call_id) REFERENCES calls(id) ON DELETE CASCADE,
  CONSTRAINT call_analysis_pkey PRIMARY KEY (call_id)
);
CREATE TRIGGER webhook_analysis_written AFTER INSERT OR UPDATE ON call_analysis FOR EACH ROW EXECUTE FUNCTION webhook_analysis_written();

-- The platform's
CREATE TABLE caller_details (
  call_id text NOT NULL,
  name text,
  phone_number text,
  email text,
  scheduled_time text,
  address text,
  pincode text,
  city text,
  state text,
  country text,
  age text,
  gender text,
  occupation text,
  company text,
  preferred_contact_method text,
  best_time_to_call text,
  language text,
  CONSTRAINT caller_details_call_id_fkey FOREIGN KEY (call_id) REFERENCES calls(id) ON DELETE CASCADE,
  CONSTRAINT caller_details_pkey PRIMARY KEY (call_id)
);

-- The platform's
CREATE TABLE calls (
  id text NOT NULL,
  agent_id text NOT NULL,
  status text NOT NULL,
  recording_uri text,
  transcript_uri text,
  started_at timestamp with time zone,
  completed_at timestamp with time zone,
  CONSTRAINT calls_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES agents(id),
  CONSTRAINT calls_pkey PRIMARY KEY (id),
  CONSTRAINT calls_status_check CHECK (status = ANY (ARRAY['queued'::text, 'in_progress'::text, 'completed'::text, 'failed'::text, 'canceled'::text]))
);
CREATE TRIGGER webhook_call_changed AFTER UPDATE ON calls FOR EACH ROW WHEN (new.status IS DISTINCT FROM old.status OR new.id IS DISTINCT FROM old.id) EXECUTE FUNCTION webhook_call_changed();
CREATE TRIGGER webhook_call_deleted AFTER DELETE ON calls FOR EACH ROW WHEN (old.status = 'completed'::text) EXECUTE FUNCTION webhook_call_changed();
CREATE TRIGGER webhook_call_inserted AFTER INSERT ON calls FOR EACH ROW WHEN (new.status = 'completed'::text) EXECUTE FUNCTION webhook_call_changed();
CREATE TRIGGER webhook_calls_truncated BEFORE TRUNCATE ON calls FOR EACH STATEMENT EXECUTE FUNCTION webhook_calls_truncated();

-- Calls that webhook_release_hinted looks at next
CREATE TABLE webhook_analysis_hints (
  call_id text NOT NULL
) WITH (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000);
GRANT SELECT ON webhook_analysis_hints TO postcall_service;

-- Claims that may have deliveries in flight
CREATE TABLE webhook_claims (
  claim_id uuid NOT NULL,  -- It begins with the first eight bytes of the dispatcher's id
  claimed_at timestamp with time zone NOT NULL,  -- That of all rows of the claim in the log
  CONSTRAINT webhook_claims_pkey PRIMARY KEY (claim_id)
) WITH (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=10000, autovacuum_analyze_scale_factor=0, autovacuum_analyze_threshold=10000, autovacuum_vacuum_cost_delay=0, vacuum_truncate=false);
GRANT SELECT ON webhook_claims TO postcall_reader;
GRANT DELETE, INSERT, SELECT ON webhook_claims TO postcall_service;

-- Whether a completed call is sent, decided once per call; kept for --ledger-days
CREATE TABLE webhook_decisions (
  call_id text NOT NULL,
  agent_id text,  -- Of an enqueued call. Empty: it could not be read when the call was completed; the log has it
  decided_at timestamp with time zone NOT NULL,
  declined webhook_decline_reason,  -- NULL: enqueued. no_url: the agent had no webhooks.postCall; agent_id_too_long; switched_off: webhook_enqueue was called with postcall.enqueue off; completed_unseen: the row was completed before installation or with postcall.enqueue off, and then its status changed or its row was deleted
  CONSTRAINT webhook_decisions_agent CHECK ((agent_id IS NULL) = (declined IS NOT NULL)),
  CONSTRAINT webhook_decisions_pkey PRIMARY KEY (call_id)
) WITH (autovacuum_vacuum_insert_scale_factor=0.05);
CREATE INDEX webhook_decisions_declined ON webhook_decisions USING btree (decided_at) WHERE (declined IS NOT NULL);
CREATE INDEX webhook_decisions_enqueued ON webhook_decisions USING btree (decided_at) WHERE (declined IS NULL);
GRANT SELECT ON webhook_decisions TO postcall_reader;

-- The functions, views and triggers of the dispatcher that this database has
CREATE TABLE webhook_definitions (
  name text NOT NULL,  -- The file in migrations/ without .sql, such as functions/webhook_enqueue
  checksum text NOT NULL,  -- SHA-256 of the file's text; a file with another text is applied again
  applied_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT webhook_definitions_pkey PRIMARY KEY (name)
);
GRANT SELECT ON webhook_definitions TO postcall_reader;
GRANT SELECT ON webhook_definitions TO postcall_service;

-- The delivery log: one row per delivery; partitions are UTC days of claimed_at
CREATE TABLE webhook_deliveries (
  id bigint NOT NULL,  -- As in the outbox; the key is (claimed_at, id)
  call_id text NOT NULL,
  agent_id text NOT NULL,
  cause text NOT NULL,  -- completion, resend or test
  url text,  -- At the time of the claim; user info removed, query values replaced
  outcome text NOT NULL,  -- in_flight, or how it ended: delivered, rejected, timeout, dns_error, connect_error, tls_error, network_error, blocked, invalid_settings, skipped, not_sent, unknown
  reached text,  -- How far it got: nothing, connected, request_sent, response_started, response_complete; NULL while in_flight and when unknown
  http_status integer,  -- Of the final response, when there was one
  error text,  -- One sentence for a person, when not delivered
  response_body text,  -- Its first --response-body-bytes
  response_truncated boolean NOT NULL DEFAULT false,  -- The 64 KiB limit ended it
  remote_address inet,  -- The peer
  connection_reused boolean,
  certificate_ends_at timestamp with time zone,  -- The peer's certificate, for https
  request_bytes bigint,  -- Body of the request
  response_bytes bigint,  -- Body of the response
  enqueued_at timestamp with time zone NOT NULL,
  due_at timestamp with time zone NOT NULL,
  claimed_at timestamp with time zone NOT NULL,
  finished_at timestamp with time zone,  -- The claim's time plus steady time elapsed
  lookup_ms real,  -- Each phase's own time
  connect_ms real,
  tls_ms real,
  first_byte_ms real,
  total_ms real,  -- From start to end
  dispatcher text NOT NULL,  -- The instance's label
  claim_id uuid NOT NULL,  -- The claim that created the row; every later write is conditional on it
  CONSTRAINT webhook_deliveries_cause CHECK (cause = ANY (ARRAY['completion'::text, 'resend'::text, 'test'::text])),
  CONSTRAINT webhook_deliveries_delivered CHECK (outcome <> 'delivered'::text OR http_status IS NOT NULL AND http_status >= 200 AND http_status <= 299 AND error IS NULL AND (reached = ANY (ARRAY['response_started'::text, 'response_complete'::text]))),
  CONSTRAINT webhook_deliveries_in_flight_blank CHECK (outcome <> 'in_flight'::text OR http_status IS NULL AND error IS NULL),
  CONSTRAINT webhook_deliveries_nothing_sent CHECK ((outcome <> ALL (ARRAY['invalid_settings'::text, 'skipped'::text])) OR reached = 'nothing'::text),
  CONSTRAINT webhook_deliveries_outcome CHECK (outcome = ANY (ARRAY['in_flight'::text, 'delivered'::text, 'rejected'::text, 'timeout'::text, 'dns_error'::text, 'connect_error'::text, 'tls_error'::text, 'network_error'::text, 'blocked'::text, 'invalid_settings'::text, 'skipped'::text, 'not_sent'::text, 'unknown'::text])),
  CONSTRAINT webhook_deliveries_over CHECK ((outcome = 'in_flight'::text) = (finished_at IS NULL)),
  CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (claimed_at, id),
  CONSTRAINT webhook_deliveries_reached CHECK (reached = ANY (ARRAY['nothing'::text, 'connected'::text, 'request_sent'::text, 'response_started'::text, 'response_complete'::text])),
  CONSTRAINT webhook_deliveries_reached_known CHECK ((outcome = ANY (ARRAY['in_flight'::text, 'unknown'::text])) = (reached IS NULL)),
  CONSTRAINT webhook_deliveries_rejected CHECK (outcome <> 'rejected'::text OR http_status IS NOT NULL AND (http_status < 200 OR http_status > 299)),
  CONSTRAINT webhook_deliveries_status CHECK (http_status >= 100 AND http_status <= 999)
) PARTITION BY RANGE (claimed_at);
CREATE INDEX webhook_deliveries_agent ON ONLY webhook_deliveries USING btree (agent_id, claimed_at DESC);
CREATE INDEX webhook_deliveries_call ON ONLY webhook_deliveries USING btree (call_id);
CREATE INDEX webhook_deliveries_enqueued ON ONLY webhook_deliveries USING brin (enqueued_at) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX webhook_deliveries_failures ON ONLY webhook_deliveries USING btree (claimed_at DESC) WHERE (error IS NOT NULL);
CREATE TRIGGER webhook_outcome_changed AFTER UPDATE ON webhook_deliveries FOR EACH ROW WHEN (old.outcome <> ALL (ARRAY['in_flight'::text, 'unknown'::text])) EXECUTE FUNCTION webhook_keep_history();
CREATE TRIGGER webhook_outcome_deleted AFTER DELETE ON webhook_deliveries FOR EACH ROW WHEN (old.outcome <> 'in_flight'::text) EXECUTE FUNCTION webhook_keep_history();
GRANT SELECT ON webhook_deliveries TO postcall_reader;
GRANT DELETE, SELECT ON webhook_deliveries TO postcall_service;
GRANT INSERT (id, call_id, agent_id, cause, url, outcome, reached, error, enqueued_at, due_at, claimed_at, finished_at, dispatcher, claim_id) ON webhook_deliveries TO postcall_service;
GRANT UPDATE (outcome, reached, http_status, error, response_body, response_truncated, remote_address, connection_reused, certificate_ends_at, request_bytes, response_bytes, finished_at, lookup_ms, connect_ms, tls_ms, first_byte_ms, total_ms) ON webhook_deliveries TO postcall_service;

-- One row per running dispatcher
CREATE TABLE webhook_dispatchers (
  id uuid NOT NULL,  -- A random number, new at each start
  instance text NOT NULL,  -- The label, --instance
  started_at timestamp with time zone NOT NULL,
  heartbeat_at timestamp with time zone NOT NULL,
  heartbeats bigint NOT NULL DEFAULT 0,  -- It grows while the dispatcher lives
  CONSTRAINT webhook_dispatchers_pkey PRIMARY KEY (id)
) WITH (fillfactor=20, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=200, autovacuum_analyze_scale_factor=0, autovacuum_analyze_threshold=10000, autovacuum_vacuum_cost_delay=0, vacuum_truncate=false);
GRANT SELECT ON webhook_dispatchers TO postcall_reader;
GRANT DELETE, SELECT ON webhook_dispatchers TO postcall_service;
GRANT INSERT (id, instance, started_at, heartbeat_at) ON webhook_dispatchers TO postcall_service;
GRANT UPDATE (heartbeat_at, heartbeats) ON webhook_dispatchers TO postcall_service;

-- The migrations of the dispatcher that this database has
CREATE TABLE webhook_migrations (
  version integer NOT NULL,
  name text NOT NULL,
  applied_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  compatibility integer NOT NULL,  -- A dispatcher with a lower compatibility number refuses this database; the highest counts
  CONSTRAINT webhook_migrations_pkey PRIMARY KEY (version)
);
GRANT SELECT ON webhook_migrations TO postcall_reader;
GRANT SELECT ON webhook_migrations TO postcall_service;

-- Deliveries that wait for a dispatcher to claim them
CREATE TABLE webhook_outbox (
  id bigint NOT NULL DEFAULT ((date_part('epoch'::text, clock_timestamp()) - 1577836800::double precision) * 1000000::double precision)::bigint * 4096::bigint + nextval('webhook_delivery_id_seq'::regclass) % 4096::bigint,
  call_id text NOT NULL,
  agent_id text NOT NULL,  -- Empty: it could not be read when the call was completed; the claim finds it
  cause webhook_cause NOT NULL,  -- completion, resend or test
  enqueued_at timestamp with time zone NOT NULL,  -- When the call was enqueued, by clock_timestamp()
  due_at timestamp with time zone NOT NULL,  -- It is not claimed before this moment
  requeues smallint NOT NULL DEFAULT 0,  -- How often a dispatcher requeued it because its own machine failed before a byte was sent
  awaits_analysis boolean NOT NULL DEFAULT false,  -- True: the row becomes due early when its analysis is committed. False: that has happened, or the wait is over, or there was none
  watched_until xid8,  -- Of a row that awaits its analysis: it is checked every second until all transactions before this one are over; NULL: not seen yet; 0: they are over
  unread smallint NOT NULL DEFAULT 0,  -- How often it was postponed because its call could not be read: an error of a source view, or too large to be read in time
  CONSTRAINT webhook_outbox_pkey PRIMARY KEY (id)
) WITH (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=10000, autovacuum_analyze_scale_factor=0, autovacuum_analyze_threshold=10000, autovacuum_vacuum_cost_delay=0, vacuum_truncate=false);
CREATE INDEX webhook_outbox_awaiting ON webhook_outbox USING btree (call_id) WHERE awaits_analysis;
CREATE INDEX webhook_outbox_awaiting_due ON webhook_outbox USING btree (due_at) WHERE awaits_analysis;
CREATE INDEX webhook_outbox_awaiting_turn ON webhook_outbox USING btree (((id % (32)::bigint))) WHERE awaits_analysis;
CREATE INDEX webhook_outbox_awaiting_watched ON webhook_outbox USING btree (id) WHERE (awaits_analysis AND (watched_until IS DISTINCT FROM '0'::xid8));
CREATE UNIQUE INDEX webhook_outbox_one_resend ON webhook_outbox USING btree (call_id) WHERE ((cause)::text = 'resend'::text);
CREATE INDEX webhook_outbox_ready ON webhook_outbox USING btree (agent_id, due_at, id) WHERE (NOT awaits_analysis);
GRANT SELECT ON webhook_outbox TO postcall_reader;
GRANT DELETE, SELECT ON webhook_outbox TO postcall_service;
GRANT INSERT (call_id, agent_id, cause, enqueued_at, due_at, requeues) ON webhook_outbox TO postcall_service;
GRANT UPDATE (id, due_at, requeues, awaits_analysis, unread) ON webhook_outbox TO postcall_service;

-- Facts about this installation; own_tables: true or false; version: the newest dispatcher that migrated it
CREATE TABLE webhook_settings (
  key text NOT NULL,
  value text NOT NULL,
  CONSTRAINT webhook_settings_pkey PRIMARY KEY (key)
);
GRANT SELECT ON webhook_settings TO postcall_reader;
GRANT SELECT ON webhook_settings TO postcall_service;

-- Until settled_until every completion that was enqueued is committed or will never be
CREATE TABLE webhook_settled (
  only_row boolean NOT NULL DEFAULT true,
  settled_until timestamp with time zone NOT NULL DEFAULT '-infinity'::timestamp with time zone,
  next_until timestamp with time zone,
  next_after xid8,  -- When no transaction up to this one is open any more, next_until becomes settled_until
  CONSTRAINT webhook_settled_only_row CHECK (only_row),
  CONSTRAINT webhook_settled_pkey PRIMARY KEY (only_row)
);

-- Closed hours of webhook_reconciliation: completions by the UTC hour in which they were enqueued
CREATE TABLE webhook_summary (
  hour timestamp with time zone NOT NULL,
  enqueued bigint NOT NULL,
  delivered bigint NOT NULL,
  rejected bigint NOT NULL,
  timeout bigint NOT NULL,
  dns_error bigint NOT NULL,
  connect_error bigint NOT NULL,
  tls_error bigint NOT NULL,
  network_error bigint NOT NULL,
  blocked bigint NOT NULL,
  invalid_settings bigint NOT NULL,
  skipped bigint NOT NULL,
  not_sent bigint NOT NULL,
  unknown bigint NOT NULL,
  final boolean NOT NULL DEFAULT false,  -- A part of the counted rows is no longer in the log, so the hour is never counted again
  CONSTRAINT webhook_summary_hour CHECK ((EXTRACT(epoch FROM hour)::bigint % 3600::bigint) = 0),
  CONSTRAINT webhook_summary_pkey PRIMARY KEY (hour)
);
CREATE TRIGGER webhook_sum_deleted AFTER DELETE ON webhook_summary FOR EACH ROW WHEN (old.final) EXECUTE FUNCTION webhook_keep_history();
GRANT SELECT ON webhook_summary TO postcall_reader;
GRANT DELETE, SELECT ON webhook_summary TO postcall_service;

-- Each agent with deliveries in the last 24 hours: how many, the share that was delivered, how long they took, the last failure
CREATE VIEW webhook_agent_health (
  agent_id text,
  agent_name text,
  deliveries_hour bigint,
  success_rate_hour numeric,
  p50_ms_hour real,
  p95_ms_hour real,
  deliveries_day bigint,
  success_rate_day numeric,
  p50_ms_day real,
  p95_ms_day real,
  last_failure_at timestamp with time zone,
  last_failure_outcome text,
  last_failure_error text
) AS …;
GRANT SELECT ON webhook_agent_health TO postcall_reader;

-- What the dispatcher reads of an agent
CREATE VIEW webhook_agents (
  id text,
  name text,
  settings jsonb
) AS …;
GRANT SELECT ON webhook_agents TO postcall_service;

-- Each https host of the last 24 hours with the latest certificate that it showed; soonest end first
CREATE VIEW webhook_certificates (
  host text,
  certificate_ends_at timestamp with time zone,
  seen_at timestamp with time zone,
  agents bigint,  -- How many agents have a URL there
  agent_id text  -- The agent whose delivery saw it last
) AS …;
GRANT SELECT ON webhook_certificates TO postcall_reader;

-- Completed calls that were not enqueued, and why
CREATE VIEW webhook_declined (
  call_id text,
  reason webhook_decline_reason,
  decided_at timestamp with time zone
) AS …;
GRANT SELECT ON webhook_declined TO postcall_reader;

-- The ledger: calls that were enqueued when they were completed, and are never enqueued again
CREATE VIEW webhook_enqueued (
  call_id text,
  agent_id text,
  enqueued_at timestamp with time zone
) AS …;
GRANT SELECT ON webhook_enqueued TO postcall_reader;

-- Deliveries that are over and were not delivered, newest first
CREATE VIEW webhook_failures (
  claimed_at timestamp with time zone,
  agent_id text,
  agent_name text,
  call_id text,
  cause text,
  outcome text,
  reached text,
  http_status integer,
  error text,
  url text,
  response_body text,
  remote_address inet,
  total_ms real,
  enqueued_at timestamp with time zone,
  finished_at timestamp with time zone,
  dispatcher text,
  id bigint,
  claim_id uuid
) AS …;
GRANT SELECT ON webhook_failures TO postcall_reader;

-- The periods that webhook_reconciliation counts itself and does not read from webhook_summary
CREATE VIEW webhook_open_hours (
  opens_at timestamp with time zone,
  ends_at timestamp with time zone
) AS …;
GRANT SELECT ON webhook_open_hours TO postcall_reader;

-- The partitions of the delivery log and their UTC days
CREATE VIEW webhook_partitions (
  name text,
  day date
) AS …;
GRANT SELECT ON webhook_partitions TO postcall_reader;

-- One row: calls of the last 5 minutes, enqueued, and declined by reason
CREATE VIEW webhook_recent (
  enqueued bigint,
  no_url bigint,
  agent_id_too_long bigint,
  switched_off bigint,
  completed_unseen bigint
) AS …;
GRANT SELECT ON webhook_recent TO postcall_reader;
GRANT SELECT ON webhook_recent TO postcall_service;

-- One row: completions that were enqueued, and where each is now; unaccounted is 0
CREATE VIEW webhook_reconciliation (
  enqueued bigint,
  waiting bigint,
  in_flight bigint,
  delivered bigint,
  rejected bigint,
  timeout bigint,
  dns_error bigint,
  connect_error bigint,
  tls_error bigint,
  network_error bigint,
  blocked bigint,
  invalid_settings bigint,
  skipped bigint,
  not_sent bigint,
  unknown bigint,
  unaccounted bigint  -- Enqueued, but neither waiting nor in the log: always 0
) AS …;
GRANT SELECT ON webhook_reconciliation TO postcall_reader;
GRANT SELECT ON webhook_reconciliation TO postcall_service;

-- What the dispatcher reads of a call: one row per call
CREATE VIEW webhook_source (
  call_id text,
  agent_id text,
  recording_uri text,
  transcript_uri text,
  name text,
  phone_number text,
  email text,
  scheduled_time text,
  address text,
  pincode text,
  city text,
  state text,
  country text,
  age text,
  gender text,
  occupation text,
  company text,
  preferred_contact_method text,
  best_time_to_call text,
  language text,
  summary text,
  mood text,
  score numeric,
  call_outcome text,
  classification text,
  interests_and_needs jsonb,
  action_items jsonb,
  sentiment jsonb,
  completed boolean
) AS …;
GRANT SELECT ON webhook_source TO postcall_service;

-- Trigger on call_analysis: a row was inserted or updated
CREATE FUNCTION webhook_analysis_written() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path=public, pg_temp
AS …;

-- Trigger on calls: a row became completed, or a completed row gets another status or id or is deleted
CREATE FUNCTION webhook_call_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan=off
SET search_path=public, pg_temp
AS …;

-- Trigger on calls: like webhook_call_changed for a deletion, for TRUNCATE
CREATE FUNCTION webhook_calls_truncated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path=public, pg_temp
AS …;

-- Sums up hours in which nothing can change any more, for webhook_reconciliation; returns how many
CREATE FUNCTION webhook_close_hours() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout=1s
SET search_path=public, pg_temp
AS …;
GRANT EXECUTE ON FUNCTION webhook_close_hours() TO postcall_service;

-- Decides, once per call, whether a completed call is enqueued; NULL is an agent that could not be read
CREATE FUNCTION webhook_decide(call_id text, agent_id text) RETURNS void
LANGUAGE plpgsql
AS …;

-- Drops the oldest partition of the log that retention has passed; returns how many it dropped, 0 or 1
CREATE FUNCTION webhook_drop_partitions(retention_days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout=50ms
SET search_path=public, pg_temp
AS …;
GRANT EXECUTE ON FUNCTION webhook_drop_partitions(integer) TO postcall_service;

-- Enqueues a completed call, once; call it in the transaction that completes the call
CREATE FUNCTION webhook_enqueue(call_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan=off
SET search_path=public, pg_temp
AS …;

-- False when the setting postcall.enqueue is off, false, no or 0
CREATE FUNCTION webhook_enqueue_wanted() RETURNS boolean
LANGUAGE plpgsql STABLE
AS …;

-- Finds the agents of calls that could not be read when they were completed; called by the claim
CREATE FUNCTION webhook_find_agents(ids bigint[]) RETURNS TABLE(id bigint, agent_id text, location tid)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path=public, pg_temp
AS …;
GRANT EXECUTE ON FUNCTION webhook_find_agents(bigint[]) TO postcall_service;

-- Creates the roles postcall_service and postcall_reader and grants them their rights here; returns the statements that only a role with more rights can run
CREATE FUNCTION webhook_grant_roles() RETURNS SETOF text
LANGUAGE plpgsql
SET client_min_messages=error
SET search_path=public, pg_temp
AS …;

-- True when a call need no longer wait for its analysis
CREATE FUNCTION webhook_has_analysis(call_id text) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path=public, pg_temp
AS …;

-- Trigger: members of postcall_service cannot change what is over
CREATE FUNCTION webhook_keep_history() RETURNS trigger
LANGUAGE plpgsql
SET search_path=public, pg_temp
AS …;

-- Creates the log's partitions up to that many days ahead; returns how many days ahead exist
CREATE FUNCTION webhook_make_partitions(days_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout=1s
SET search_path=public, pg_temp
AS …;
GRANT EXECUTE ON FUNCTION webhook_make_partitions(integer) TO postcall_service;

-- After lost commits, before a dispatcher is started: what was enqueued before that moment and waits, and what is in flight, becomes unknown and is not sent; returns how many
CREATE FUNCTION webhook_mark_suspect(enqueued_before timestamp with time zone) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path=public, pg_temp
AS …;

-- Deletes decisions and sums that are older than ledger_days, in batches; returns how many
CREATE FUNCTION webhook_purge(max_rows integer, ledger_days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout=1s
SET enable_seqscan=off
SET search_path=public, pg_temp
AS …;
GRANT EXECUTE ON FUNCTION webhook_purge(integer,integer) TO postcall_service;

-- Makes a call due that waits for a part; call it in the transaction that writes the part
CREATE FUNCTION webhook_ready(call_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path=public, pg_temp
AS …;

-- Makes calls due whose analysis was committed while they were being completed; while calls wait, dispatchers call it every second
CREATE FUNCTION webhook_release_analysed(turn bigint DEFAULT (EXTRACT(epoch FROM clock_timestamp()))::bigint) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan=off
SET enable_hashjoin=off
SET enable_mergejoin=off
SET enable_sort=off
SET search_path=public, pg_temp
AS …;
GRANT EXECUTE ON FUNCTION webhook_release_analysed(bigint) TO postcall_service;

-- Makes calls due whose analysis was committed while they waited; while some wait, dispatchers call it a few times per second
CREATE FUNCTION webhook_release_hinted() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan=off
SET enable_hashjoin=off
SET enable_mergejoin=off
SET enable_sort=off
SET search_path=public, pg_temp
AS …;
GRANT EXECUTE ON FUNCTION webhook_release_hinted() TO postcall_service;

-- What a value of the setting postcall.wait_at_most means, from 0 to 7 days
CREATE FUNCTION webhook_wait_at_most(setting text) RETURNS interval
LANGUAGE plpgsql STABLE
AS …;

-- The parts that a value of the setting postcall.wait_for lists
CREATE FUNCTION webhook_wait_for(setting text) RETURNS text[]
LANGUAGE plpgsql STABLE STRICT
AS …;
