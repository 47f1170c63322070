-- The ledger: the rows of webhook_decisions that were enqueued.
CREATE OR REPLACE VIEW webhook_enqueued AS
SELECT call_id, agent_id, decided_at AS enqueued_at
  FROM webhook_decisions
 WHERE declined IS NULL;
COMMENT ON VIEW webhook_enqueued IS
  'The ledger: calls that were enqueued when they were completed, and are never enqueued again';
