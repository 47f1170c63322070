-- A benchmark's calls. With all details a body is about 1.2 KB. Run it with psql and these variables: calls, agents;
-- settings, a SQL expression of the agent's number n; completed (1: due at once, 0: in progress), details (1 or 0).
\set ON_ERROR_STOP on
\set QUIET on

BEGIN;

INSERT INTO agents (id, name, settings)
SELECT format('agent-%s', n), format('Agent %s', n), :settings
  FROM generate_series(1, :agents) AS n;

INSERT INTO calls (id, agent_id, status, recording_uri, transcript_uri, started_at)
SELECT md5('call ' || n), format('agent-%s', 1 + n % :agents), 'in_progress',
       format('https://storage.example.com/recordings/%s/call_recording.ogg', md5('call ' || n)),
       format('https://storage.example.com/transcripts/transcript_%s.json', md5('call ' || n)), now()
  FROM generate_series(1, :calls) AS n;

\if :details
INSERT INTO caller_details
SELECT id, 'John Smith', '+1-555-123-4567', 'john.smith@example.com', '2025-01-20T10:00:00Z', '123 Main Street',
       '10001', 'New York', 'NY', 'USA', '42', 'male', 'Engineer', 'Example Corporation', 'phone', 'mornings', 'English'
  FROM calls;

INSERT INTO call_analysis
SELECT id, 'Customer called to schedule a product demo. ' || repeat('They talked about plans and prices. ', 5),
       'Positive', 85, 'Demo Scheduled', 'Sales Inquiry',
       '{"budget": 1200.50, "products": ["Pro plan", "API"]}', '[{"due": "2025-01-21", "task": "Send the offer"}]',
       '{"overall": "positive", "confidence": 0.87}'
  FROM calls;
\endif

\if :completed
UPDATE calls SET status = 'completed', completed_at = now();
\endif

COMMIT;

VACUUM ANALYZE;
CHECKPOINT;
