-- The tables of floor.sql: one outbox and one log, each with its primary key and no other index. The outbox has what is
-- over in the real log, so that both move the same values.
\set ON_ERROR_STOP on
CREATE TABLE floor_outbox (
  id          bigint PRIMARY KEY,
  call_id     text NOT NULL,
  agent_id    text NOT NULL,
  cause       text NOT NULL,
  enqueued_at timestamptz NOT NULL,
  due_at      timestamptz NOT NULL
);
CREATE TABLE floor_log (
  id             bigint PRIMARY KEY,
  call_id        text NOT NULL,
  agent_id       text NOT NULL,
  cause          text NOT NULL,
  url            text NOT NULL,
  outcome        text NOT NULL,
  http_status    integer,
  response_body  text,
  remote_address inet,
  enqueued_at    timestamptz NOT NULL,
  due_at         timestamptz NOT NULL,
  claimed_at     timestamptz NOT NULL,
  finished_at    timestamptz,
  total_ms       real,
  dispatcher     text NOT NULL,
  claim_id       uuid NOT NULL
) WITH (fillfactor = 40);
INSERT INTO floor_outbox
SELECT row_number() OVER (ORDER BY id), call_id, agent_id, cause, enqueued_at, due_at FROM webhook_deliveries;
VACUUM ANALYZE floor_outbox;
CHECKPOINT;
