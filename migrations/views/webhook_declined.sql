-- The rows of webhook_decisions that were declined.
CREATE OR REPLACE VIEW webhook_declined AS
SELECT call_id, declined AS reason, decided_at
  FROM webhook_decisions
 WHERE declined IS NOT NULL;
COMMENT ON VIEW webhook_declined IS
  'Completed calls that were not enqueued, and why';
