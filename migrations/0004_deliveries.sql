-- The delivery log: one row per delivery, and one partition per UTC day of claimed_at (CONTRACT §4).
--   INSERT   the claim, before anything is sent; webhook_mark_suspect
--   UPDATE   the record, which moves a row from in_flight to its outcome; the sweep, which moves it to unknown; the
--            record again, when the true outcome comes late. Each is conditional on claim_id.
--   DELETE   a requeue of a row that is in flight; webhook_drop_partitions drops whole days
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
    'network_error', 'blocked', 'invalid_settings', 'skipped', 'not_sent', 'unknown')),
  CONSTRAINT webhook_deliveries_reached CHECK (reached IN (
    'nothing', 'connected', 'request_sent', 'response_started', 'response_complete')),
  -- The record moves a row out of in_flight, or the sweep when its dispatcher is dead.
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
    CHECK (outcome NOT IN ('invalid_settings', 'skipped') OR reached = 'nothing')
) PARTITION BY RANGE (claimed_at);

-- `delivered` changes no column that an index names: what failed is known by its error. So that outcome is a HOT update:
-- it writes the row once more, in the same page, and no entry of any index. webhook_make_partitions leaves room for it.
CREATE INDEX webhook_deliveries_call ON webhook_deliveries (call_id);
CREATE INDEX webhook_deliveries_agent ON webhook_deliveries (agent_id, claimed_at DESC);
CREATE INDEX webhook_deliveries_failures ON webhook_deliveries (claimed_at DESC) WHERE error IS NOT NULL;
-- This index counts one hour of completions without reading the whole day. It costs little, because rows arrive in
-- about this order.
CREATE INDEX webhook_deliveries_enqueued ON webhook_deliveries USING brin (enqueued_at)
  WITH (pages_per_range = 32, autosummarize = on);

COMMENT ON TABLE webhook_deliveries IS 'The delivery log: one row per delivery; partitions are UTC days of claimed_at';
COMMENT ON COLUMN webhook_deliveries.id IS 'As in the outbox; the key is (claimed_at, id)';
COMMENT ON COLUMN webhook_deliveries.cause IS 'completion, resend or test';
COMMENT ON COLUMN webhook_deliveries.url IS 'At the time of the claim; user info removed, query values replaced';
COMMENT ON COLUMN webhook_deliveries.outcome IS 'in_flight, or how it ended: delivered, rejected, timeout, dns_error, connect_error, tls_error, network_error, blocked, invalid_settings, skipped, not_sent, unknown';
COMMENT ON COLUMN webhook_deliveries.reached IS 'How far it got: nothing, connected, request_sent, response_started, response_complete; NULL while in_flight and when unknown';
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
COMMENT ON COLUMN webhook_deliveries.claim_id IS 'The claim that created the row; every later write is conditional on it';

-- The claims that may have rows in flight. All rows of a claim have its claimed_at, so a row here leads to them by the
-- key of the log, and no index of the log has to know what is in flight.
--   INSERT   the claim, when it has something to send
--   DELETE   housekeeping, once none of its rows is in flight; webhook_mark_suspect
CREATE TABLE webhook_claims (
  claim_id   uuid        NOT NULL,
  claimed_at timestamptz NOT NULL,
  CONSTRAINT webhook_claims_pkey PRIMARY KEY (claim_id)
) WITH (
  -- Rows live for seconds; as for the outbox.
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_insert_scale_factor = 0,
  autovacuum_vacuum_insert_threshold = 10000,
  autovacuum_analyze_scale_factor = 0,
  autovacuum_analyze_threshold = 10000,
  autovacuum_vacuum_cost_delay = 0,
  vacuum_truncate = false
);
COMMENT ON TABLE webhook_claims IS 'Claims that may have deliveries in flight';
COMMENT ON COLUMN webhook_claims.claim_id IS 'It begins with the first eight bytes of the dispatcher''s id';
COMMENT ON COLUMN webhook_claims.claimed_at IS 'That of all rows of the claim in the log';
