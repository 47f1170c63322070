-- For the person on call, with the name of the agent. Only what is over and was not delivered has an error.
CREATE OR REPLACE VIEW webhook_failures AS
SELECT d.claimed_at,
       d.agent_id,
       a.name AS agent_name,
       d.call_id,
       d.cause,
       d.outcome,
       d.reached,
       d.http_status,
       d.error,
       d.url,
       d.response_body,
       d.remote_address,
       d.total_ms,
       d.enqueued_at,
       d.finished_at,
       d.dispatcher,
       d.id,
       d.claim_id
  FROM webhook_deliveries d
  LEFT JOIN webhook_agents a ON a.id = d.agent_id
 WHERE d.error IS NOT NULL
 ORDER BY d.claimed_at DESC;
COMMENT ON VIEW webhook_failures IS
  'Deliveries that are over and were not delivered, newest first';
