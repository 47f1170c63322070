-- Completions by the UTC hour of enqueued_at: the sums of the hours that are closed.
--   INSERT   webhook_close_hours
--   UPDATE   webhook_drop_partitions makes a row final when it drops what was counted
--   DELETE   a record that replaces `unknown` in the log, unless the row is final, so that the hour is counted again;
--            webhook_purge
CREATE TABLE webhook_summary (
  hour             timestamptz NOT NULL,
  enqueued         bigint      NOT NULL,
  delivered        bigint      NOT NULL,
  rejected         bigint      NOT NULL,
  timeout          bigint      NOT NULL,
  dns_error        bigint      NOT NULL,
  connect_error    bigint      NOT NULL,
  tls_error        bigint      NOT NULL,
  network_error    bigint      NOT NULL,
  blocked          bigint      NOT NULL,
  invalid_settings bigint      NOT NULL,
  skipped          bigint      NOT NULL,
  not_sent         bigint      NOT NULL,
  unknown          bigint      NOT NULL,
  final            boolean     NOT NULL DEFAULT false,
  CONSTRAINT webhook_summary_pkey PRIMARY KEY (hour),
  CONSTRAINT webhook_summary_hour CHECK (extract(epoch FROM hour)::bigint % 3600 = 0)
);
COMMENT ON TABLE webhook_summary IS 'Closed hours of webhook_reconciliation: completions by the UTC hour in which they were enqueued';
COMMENT ON COLUMN webhook_summary.final IS 'A part of the counted rows is no longer in the log, so the hour is never counted again';

-- Up to settled_until all completions are known: no transaction that is still open can add one before that time. One
-- row, which webhook_close_hours updates.
CREATE TABLE webhook_settled (
  only_row      boolean     NOT NULL DEFAULT true,
  settled_until timestamptz NOT NULL DEFAULT '-infinity',
  next_until    timestamptz,
  next_after    xid8,
  CONSTRAINT webhook_settled_pkey PRIMARY KEY (only_row),
  CONSTRAINT webhook_settled_only_row CHECK (only_row)
);
INSERT INTO webhook_settled DEFAULT VALUES;
COMMENT ON TABLE webhook_settled IS 'Until settled_until every completion that was enqueued is committed or will never be';
COMMENT ON COLUMN webhook_settled.next_after IS 'When no transaction up to this one is open any more, next_until becomes settled_until';
