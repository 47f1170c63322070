-- One batch: a claim and a record, each with its commit. pgbench sets batch, and last to 0; last grows from batch to
-- batch. No value has a colon before a word, because pgbench would take the word for a variable.
\set upto :last + :batch
BEGIN;
WITH moved AS (
  DELETE FROM floor_outbox WHERE id > :last AND id <= :upto RETURNING *)
INSERT INTO floor_log (id, call_id, agent_id, cause, url, outcome, enqueued_at, due_at, claimed_at, dispatcher, claim_id)
SELECT id, call_id, agent_id, cause, 'http://127.0.0.1/post-call-of-a-customer', 'in_flight', enqueued_at, due_at,
       clock_timestamp(), 'bench', '00000000-0000-0000-0000-000000000000'
  FROM moved;
COMMIT;
BEGIN;
UPDATE floor_log
   SET outcome = 'delivered', http_status = 200, response_body = '{"received": true}', remote_address = '127.0.0.1',
       finished_at = clock_timestamp(), total_ms = 1.5
 WHERE id > :last AND id <= :upto;
COMMIT;
\set last :upto
