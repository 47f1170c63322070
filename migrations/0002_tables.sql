-- The dispatcher's own tables (CONTRACT §3, §4). No foreign key leads out of any of them: what the platform
-- deletes never touches the log, and the log never stops the platform from deleting.

-- Ids of deliveries. A row keeps its id from the outbox to the log, and back when it is given back.
CREATE SEQUENCE webhook_delivery_id_seq AS bigint;

-- What is not claimed yet. Kept small: the claim deletes what it takes.
-- Written by webhook_enqueue, webhook_analysis_ready, webhook_release_analysed and the command `resend`;
-- emptied by the dispatcher's claim; refilled by it when a claim is given back.
CREATE TABLE webhook_outbox (
  id              bigint      NOT NULL DEFAULT nextval('webhook_delivery_id_seq'),
  call_id         text        NOT NULL,
  agent_id        text        NOT NULL,
  cause           text        NOT NULL,
  enqueued_at     timestamptz NOT NULL,
  due_at          timestamptz NOT NULL,
  returns         smallint    NOT NULL DEFAULT 0,
  awaits_analysis boolean     NOT NULL DEFAULT false,
  watched_until   xid8,
  CONSTRAINT webhook_outbox_pkey PRIMARY KEY (id),
  CONSTRAINT webhook_outbox_cause CHECK (cause IN ('completion', 'resend', 'test'))
) WITH (
  -- Rows live for milliseconds, so dead ones are cleared at once rather than at a fifth of the table; and
  -- the end is never cut off, for that takes a lock that claims would wait behind.
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_insert_scale_factor = 0,
  autovacuum_vacuum_insert_threshold = 10000,
  autovacuum_analyze_scale_factor = 0,
  autovacuum_analyze_threshold = 10000,
  autovacuum_vacuum_cost_delay = 0,
  vacuum_truncate = false
);
ALTER SEQUENCE webhook_delivery_id_seq OWNED BY webhook_outbox.id;

-- The claim walks this index from agent to agent and takes a few due rows of each.
CREATE INDEX webhook_outbox_round_robin ON webhook_outbox (agent_id, due_at, id);
-- Empty unless postcall.analysis_wait is set: by call for the analysis that arrives, the others for
-- webhook_release_analysed.
CREATE INDEX webhook_outbox_awaiting ON webhook_outbox (call_id) WHERE awaits_analysis;
CREATE INDEX webhook_outbox_awaiting_watched ON webhook_outbox (id)
  WHERE awaits_analysis AND watched_until IS DISTINCT FROM '0'::xid8;
CREATE INDEX webhook_outbox_awaiting_turn ON webhook_outbox ((id % 32)) WHERE awaits_analysis;
-- Two operators at once cannot queue one call for two resends. (Completions are guarded by the ledger.)
CREATE UNIQUE INDEX webhook_outbox_one_resend ON webhook_outbox (call_id) WHERE cause = 'resend';

COMMENT ON TABLE webhook_outbox IS 'Deliveries that wait for a dispatcher to claim them';
COMMENT ON COLUMN webhook_outbox.cause IS 'completion, resend or test';
COMMENT ON COLUMN webhook_outbox.enqueued_at IS 'Clock of the moment at which the call was enqueued';
COMMENT ON COLUMN webhook_outbox.due_at IS 'Not claimed before this moment';
COMMENT ON COLUMN webhook_outbox.returns IS 'How often a dispatcher gave it back because its own machine failed before a byte was sent';
COMMENT ON COLUMN webhook_outbox.awaits_analysis IS 'Becomes due early when the analysis is committed';
COMMENT ON COLUMN webhook_outbox.watched_until IS 'Of a row that awaits its analysis: looked at every second until all transactions before this one are over; NULL: not seen yet; 0: they are';

-- Calls whose analysis was written in a transaction that must not touch the outbox (see webhook_analysis_ready).
-- Emptied every second by webhook_release_analysed.
CREATE TABLE webhook_analysis_hints (
  call_id text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE webhook_analysis_hints IS 'Calls that webhook_release_analysed looks at next';

-- The delivery log: one row a delivery, inserted by the claim, completed by the record. One partition a UTC
-- day of claimed_at, made by webhook_make_partitions and dropped by webhook_drop_partitions.
CREATE TABLE webhook_deliveries (
  id                  bigint      NOT NULL,
  call_id             text        NOT NULL,
  agent_id            text        NOT NULL,
  cause               text        NOT NULL,
  url                 text,
  outcome             text        NOT NULL,
  reached             text,
  http_status         int,
  error               text,
  response_body       text,
  response_truncated  boolean     NOT NULL DEFAULT false,
  remote_address      inet,
  connection_reused   boolean,
  certificate_ends_at timestamptz,
  request_bytes       bigint,
  response_bytes      bigint,
  enqueued_at         timestamptz NOT NULL,
  due_at              timestamptz NOT NULL,
  claimed_at          timestamptz NOT NULL,
  finished_at         timestamptz,
  lookup_ms           real,
  connect_ms          real,
  tls_ms              real,
  first_byte_ms       real,
  total_ms            real,
  dispatcher          text        NOT NULL,
  claim_id            uuid        NOT NULL,
  CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (claimed_at, id),
  CONSTRAINT webhook_deliveries_cause CHECK (cause IN ('completion', 'resend', 'test')),
  CONSTRAINT webhook_deliveries_outcome CHECK (outcome IN (
    'in_flight', 'delivered', 'rejected', 'timeout', 'dns_error', 'connect_error', 'tls_error',
    'network_error', 'blocked', 'invalid_url', 'skipped', 'not_sent', 'unknown')),
  CONSTRAINT webhook_deliveries_reached CHECK (reached IN (
    'nothing', 'connected', 'request_sent', 'response_started', 'response_complete')),
  -- in_flight: moved out by the record, or by the sweep when its dispatcher is gone.
  CONSTRAINT webhook_deliveries_over CHECK ((outcome = 'in_flight') = (finished_at IS NULL)),
  CONSTRAINT webhook_deliveries_reached_known
    CHECK ((outcome IN ('in_flight', 'unknown')) = (reached IS NULL)),
  CONSTRAINT webhook_deliveries_in_flight_blank
    CHECK (outcome <> 'in_flight' OR (http_status IS NULL AND error IS NULL)),
  CONSTRAINT webhook_deliveries_status CHECK (http_status BETWEEN 100 AND 999),
  CONSTRAINT webhook_deliveries_delivered CHECK (outcome <> 'delivered'
    OR (http_status IS NOT NULL AND http_status BETWEEN 200 AND 299 AND error IS NULL
        AND reached IN ('response_started', 'response_complete'))),
  CONSTRAINT webhook_deliveries_rejected CHECK (outcome <> 'rejected'
    OR (http_status IS NOT NULL AND http_status NOT BETWEEN 200 AND 299)),
  CONSTRAINT webhook_deliveries_nothing_sent
    CHECK (outcome NOT IN ('invalid_url', 'skipped') OR reached = 'nothing')
) PARTITION BY RANGE (claimed_at);

CREATE INDEX webhook_deliveries_call ON webhook_deliveries (call_id);
CREATE INDEX webhook_deliveries_agent ON webhook_deliveries (agent_id, claimed_at DESC);
CREATE INDEX webhook_deliveries_in_flight ON webhook_deliveries (claim_id) WHERE outcome = 'in_flight';
CREATE INDEX webhook_deliveries_failures ON webhook_deliveries (claimed_at DESC)
  WHERE outcome NOT IN ('delivered', 'in_flight');
-- To count one hour of completions without reading the day. Next to nothing to maintain: rows arrive in about
-- this order.
CREATE INDEX webhook_deliveries_enqueued ON webhook_deliveries USING brin (enqueued_at)
  WITH (pages_per_range = 32, autosummarize = on);

COMMENT ON TABLE webhook_deliveries IS 'The delivery log: one row a delivery; partitions are UTC days of claimed_at';
COMMENT ON COLUMN webhook_deliveries.id IS 'As in the outbox; the key is (claimed_at, id)';
COMMENT ON COLUMN webhook_deliveries.cause IS 'completion, resend or test';
COMMENT ON COLUMN webhook_deliveries.url IS 'At the time of the claim; user info removed, query values replaced';
COMMENT ON COLUMN webhook_deliveries.outcome IS 'in_flight, or how it ended: delivered, rejected, timeout, dns_error, connect_error, tls_error, network_error, blocked, invalid_url, skipped, not_sent, unknown';
COMMENT ON COLUMN webhook_deliveries.reached IS 'How far it came: nothing, connected, request_sent, response_started, response_complete; NULL while in_flight and when unknown';
COMMENT ON COLUMN webhook_deliveries.http_status IS 'Of the final response, when there was one';
COMMENT ON COLUMN webhook_deliveries.error IS 'One sentence for a person, when not delivered';
COMMENT ON COLUMN webhook_deliveries.response_body IS 'Its first --response-body-bytes';
COMMENT ON COLUMN webhook_deliveries.response_truncated IS 'The 64 KiB limit ended it';
COMMENT ON COLUMN webhook_deliveries.remote_address IS 'The peer';
COMMENT ON COLUMN webhook_deliveries.certificate_ends_at IS 'The peer''s certificate, for https';
COMMENT ON COLUMN webhook_deliveries.request_bytes IS 'Body of the request';
COMMENT ON COLUMN webhook_deliveries.response_bytes IS 'Body of the response';
COMMENT ON COLUMN webhook_deliveries.finished_at IS 'The claim''s time plus steady time elapsed';
COMMENT ON COLUMN webhook_deliveries.lookup_ms IS 'Each phase''s own time';
COMMENT ON COLUMN webhook_deliveries.total_ms IS 'From start to end';
COMMENT ON COLUMN webhook_deliveries.dispatcher IS 'The instance''s label';
COMMENT ON COLUMN webhook_deliveries.claim_id IS 'The claim that made the row; every later write is fenced by it';

-- The ledger: a call that is here was let in once and is never let in again. Kept 400 days.
CREATE TABLE webhook_enqueued (
  call_id     text        NOT NULL,
  agent_id    text        NOT NULL,
  enqueued_at timestamptz NOT NULL,
  CONSTRAINT webhook_enqueued_pkey PRIMARY KEY (call_id)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05);
CREATE INDEX webhook_enqueued_at ON webhook_enqueued (enqueued_at);
COMMENT ON TABLE webhook_enqueued IS 'Every call that was ever enqueued by its completion; lets no call in twice; kept 400 days';

-- The other half of "decides for good": calls whose completion was seen and not enqueued. Kept 400 days.
CREATE TABLE webhook_declined (
  call_id    text        NOT NULL,
  reason     text        NOT NULL,
  decided_at timestamptz NOT NULL,
  CONSTRAINT webhook_declined_pkey PRIMARY KEY (call_id),
  CONSTRAINT webhook_declined_reason
    CHECK (reason IN ('no_url', 'agent_id_too_long', 'switched_off', 'completed_unseen'))
);
CREATE INDEX webhook_declined_at ON webhook_declined (decided_at);
COMMENT ON TABLE webhook_declined IS 'Calls whose completion was decided not to be enqueued; the decision holds for good; kept 400 days';
COMMENT ON COLUMN webhook_declined.reason IS 'no_url: the agent had no webhooks.postCall; agent_id_too_long; switched_off: webhook_enqueue was called with postcall.enqueue off; completed_unseen: the row was completed before installation or with postcall.enqueue off, and then its status changed or its row was deleted';

-- The living dispatchers: a row a start. beats moves with every claim, confirmation and heartbeat; other
-- dispatchers delete the row when it has not moved for 30 s.
CREATE TABLE webhook_dispatchers (
  id         uuid        NOT NULL,
  instance   text        NOT NULL,
  started_at timestamptz NOT NULL,
  beat_at    timestamptz NOT NULL,
  beats      bigint      NOT NULL DEFAULT 0,
  CONSTRAINT webhook_dispatchers_pkey PRIMARY KEY (id)
) WITH (
  fillfactor = 20,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 200,
  autovacuum_analyze_scale_factor = 0,
  autovacuum_analyze_threshold = 10000,
  autovacuum_vacuum_cost_delay = 0,
  vacuum_truncate = false
);
COMMENT ON TABLE webhook_dispatchers IS 'One row a running dispatcher';
COMMENT ON COLUMN webhook_dispatchers.id IS 'Drawn at random at each start';
COMMENT ON COLUMN webhook_dispatchers.instance IS 'Label, --instance';
COMMENT ON COLUMN webhook_dispatchers.beats IS 'Liveness: has this number moved?';

-- Completions by the UTC hour of enqueued_at: the hours that are closed, written by webhook_close_hours.
-- Whoever changes a final outcome in the log deletes the hour's row unless it is final, and the hour is
-- counted anew. It becomes final when webhook_drop_partitions drops what it was counted from.
CREATE TABLE webhook_summary (
  hour          timestamptz NOT NULL,
  enqueued      bigint      NOT NULL,
  delivered     bigint      NOT NULL,
  rejected      bigint      NOT NULL,
  timeout       bigint      NOT NULL,
  dns_error     bigint      NOT NULL,
  connect_error bigint      NOT NULL,
  tls_error     bigint      NOT NULL,
  network_error bigint      NOT NULL,
  blocked       bigint      NOT NULL,
  invalid_url   bigint      NOT NULL,
  skipped       bigint      NOT NULL,
  not_sent      bigint      NOT NULL,
  unknown       bigint      NOT NULL,
  final         boolean     NOT NULL DEFAULT false,
  CONSTRAINT webhook_summary_pkey PRIMARY KEY (hour),
  CONSTRAINT webhook_summary_hour CHECK (extract(epoch FROM hour)::bigint % 3600 = 0)
);
COMMENT ON TABLE webhook_summary IS 'Closed hours of webhook_reconciliation: completions by the UTC hour in which they were enqueued';
COMMENT ON COLUMN webhook_summary.final IS 'Part of what was counted has left the log: never count it anew';

-- How far time is settled: no transaction that is still open can bring a completion of before settled_until.
-- One row, moved by webhook_close_hours.
CREATE TABLE webhook_settled (
  only_row      boolean     NOT NULL DEFAULT true,
  settled_until timestamptz NOT NULL DEFAULT '-infinity',
  next_until    timestamptz,
  next_after    xid8,
  CONSTRAINT webhook_settled_pkey PRIMARY KEY (only_row),
  CONSTRAINT webhook_settled_only_row CHECK (only_row)
);
INSERT INTO webhook_settled DEFAULT VALUES;
COMMENT ON TABLE webhook_settled IS 'Up to when every completion that was enqueued is committed or will never be';
COMMENT ON COLUMN webhook_settled.next_after IS 'When no transaction up to this one is open any more, next_until becomes settled_until';
