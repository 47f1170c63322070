-- The living dispatchers: one row per start (CONTRACT §4, "Dead dispatchers").
--   INSERT   the dispatcher itself, with its first heartbeat
--   UPDATE   the dispatcher itself, with each heartbeat and confirmation, and with a claim when it is time
--   DELETE   the dispatcher itself when it stops; another one that has not seen the row change for 30 s
CREATE TABLE webhook_dispatchers (
  id           uuid        NOT NULL,
  instance     text        NOT NULL,
  started_at   timestamptz NOT NULL,
  heartbeat_at timestamptz NOT NULL,
  heartbeats   bigint      NOT NULL DEFAULT 0,
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
COMMENT ON TABLE webhook_dispatchers IS 'One row per running dispatcher';
COMMENT ON COLUMN webhook_dispatchers.id IS 'A random number, new at each start';
COMMENT ON COLUMN webhook_dispatchers.instance IS 'The label, --instance';
COMMENT ON COLUMN webhook_dispatchers.heartbeats IS 'It grows while the dispatcher lives';
