-- Whether a completed call is sent: one decision per call, made once and never changed (CONTRACT §3, "Enqueueing").
--   INSERT   webhook_decide and the triggers on calls, with ON CONFLICT DO NOTHING. They read nothing before that other
--            transactions write, so two SERIALIZABLE transactions that complete different calls never conflict here.
--   UPDATE   never: an update by a dispatcher could make the platform's transaction wait or fail
--   DELETE   webhook_purge, rows that are older than --ledger-days
-- The allowed words are checked by a type, because PostgreSQL parses the text of a table's CHECK again for each statement,
-- and a completion inserts one row.
CREATE DOMAIN webhook_decline_reason AS text
  CHECK (VALUE IN ('no_url', 'agent_id_too_long', 'switched_off', 'completed_unseen'));
COMMENT ON DOMAIN webhook_decline_reason IS 'Why a completed call is not enqueued';

CREATE TABLE webhook_decisions (
  call_id    text        NOT NULL,
  agent_id   text,
  decided_at timestamptz NOT NULL,
  declined   webhook_decline_reason,
  CONSTRAINT webhook_decisions_pkey PRIMARY KEY (call_id),
  CONSTRAINT webhook_decisions_agent CHECK ((agent_id IS NULL) = (declined IS NOT NULL))
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05);
CREATE INDEX webhook_decisions_enqueued ON webhook_decisions (decided_at) WHERE declined IS NULL;
CREATE INDEX webhook_decisions_declined ON webhook_decisions (decided_at) WHERE declined IS NOT NULL;

COMMENT ON TABLE webhook_decisions IS 'Whether a completed call is sent, decided once per call; kept for --ledger-days';
COMMENT ON COLUMN webhook_decisions.agent_id IS 'Of an enqueued call. Empty: it could not be read when the call was completed; the log has it';
COMMENT ON COLUMN webhook_decisions.declined IS 'NULL: enqueued. no_url: the agent had no webhooks.postCall; agent_id_too_long; switched_off: webhook_enqueue was called with postcall.enqueue off; completed_unseen: the row was completed before installation or with postcall.enqueue off, and then its status changed or its row was deleted';
