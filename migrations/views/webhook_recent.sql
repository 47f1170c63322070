-- Calls of the last five minutes, enqueued and declined; each counted up to a million. The time has a lower and an
-- upper bound, as in webhook_reconciliation: the planner then expects a small part of the ledger, and uses the index.
CREATE OR REPLACE VIEW webhook_recent AS
SELECT enqueued.calls AS enqueued, declined.*
  FROM (SELECT count(*) AS calls
          FROM (SELECT FROM webhook_enqueued e
                 WHERE e.enqueued_at > now() - interval '5 minutes' AND e.enqueued_at < 'infinity'
                 LIMIT 1000000) e) enqueued,
       (SELECT count(*) FILTER (WHERE c.reason = 'no_url')            AS no_url,
               count(*) FILTER (WHERE c.reason = 'agent_id_too_long') AS agent_id_too_long,
               count(*) FILTER (WHERE c.reason = 'switched_off')      AS switched_off,
               count(*) FILTER (WHERE c.reason = 'completed_unseen')  AS completed_unseen
          FROM (SELECT d.reason FROM webhook_declined d
                 WHERE d.decided_at > now() - interval '5 minutes' AND d.decided_at < 'infinity'
                 LIMIT 1000000) c) declined;
COMMENT ON VIEW webhook_recent IS
  'One row: calls of the last 5 minutes, enqueued, and declined by reason';
