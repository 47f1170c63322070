-- Sample data to try the dispatcher: 20 agents and 1,000 calls of these agents. The platform completes the calls in
-- random order, one transaction per call. Run it with psql, with the address of a receiving endpoint:
--
--   psql -v endpoint=http://127.0.0.1:8080 -f deploy/sample.sql
--
-- Fourteen agents have a working endpoint, and one has a slow endpoint. The endpoints of four agents fail, each in
-- another way, and the last agent has a URL with a typing error.
\set ON_ERROR_STOP on
\set QUIET on

BEGIN;

INSERT INTO agents (id, name, settings)
SELECT format('agent-%s', to_char(n, 'FM00')),
       (ARRAY['Reception', 'Sales', 'Support', 'Bookings', 'Surveys'])[1 + n % 5] || ' ' || n,
       jsonb_build_object('webhooks', CASE n
         WHEN 5 THEN jsonb_build_object('postCall', :'endpoint' || '/ok',
                                        'secret', 'whsec_' || encode(sha256('a sample secret'), 'base64'))
         WHEN 6 THEN jsonb_build_object('postCall', :'endpoint' || '/ok',
                                        'headers', jsonb_build_object('X-Api-Key', 'a sample key'))
         WHEN 15 THEN jsonb_build_object('postCall', :'endpoint' || '/slow?ms=400')
         WHEN 16 THEN jsonb_build_object('postCall', :'endpoint' || '/fail')
         WHEN 17 THEN jsonb_build_object('postCall', :'endpoint' || '/reject')
         WHEN 18 THEN jsonb_build_object('postCall', :'endpoint' || '/hang')
         WHEN 19 THEN jsonb_build_object('postCall', :'endpoint' || '/reset')
         WHEN 20 THEN jsonb_build_object('postCall', 'https//hooks.example.com/post-call')
         ELSE jsonb_build_object('postCall', :'endpoint' || '/ok')
       END)
  FROM generate_series(1, 20) AS n;

INSERT INTO calls (id, agent_id, status, recording_uri, transcript_uri, started_at)
SELECT format('call-%s', to_char(n, 'FM0000')),
       format('agent-%s', to_char(1 + n % 20, 'FM00')),
       'in_progress',
       format('https://storage.example.com/recordings/call-%s/call_recording.ogg', to_char(n, 'FM0000')),
       CASE WHEN n % 7 <> 0 THEN
         format('https://storage.example.com/transcripts/transcript_call-%s.json', to_char(n, 'FM0000'))
       END,
       now() - interval '3 minutes' - n * interval '1 second'
  FROM generate_series(1, 1000) AS n;

-- Not every call has details or an analysis, and not every column is filled.
INSERT INTO caller_details (call_id, name, phone_number, email, scheduled_time, city, country, age, company, language)
SELECT format('call-%s', to_char(n, 'FM0000')),
       (ARRAY['John Smith', 'María José Núñez', 'Łukasz Żółć', '山田 太郎', 'अनिता शर्मा', 'O''Brien "Bob" 🙂'])[1 + n % 6],
       format('+1-555-%s', to_char(n, 'FM0000')),
       CASE WHEN n % 3 = 0 THEN format('caller%s@example.com', n) END,
       CASE WHEN n % 4 = 0 THEN '2025-01-20T10:00:00Z' END,
       (ARRAY['New York', 'Sevilla', 'Łódź', '東京'])[1 + n % 4],
       (ARRAY['USA', 'España', 'Polska', '日本'])[1 + n % 4],
       CASE WHEN n % 2 = 0 THEN (18 + n % 70)::text END,
       CASE WHEN n % 9 = 0 THEN '' END,
       (ARRAY['English', 'Spanish', 'Polish', 'Japanese'])[1 + n % 4]
  FROM generate_series(1, 1000) AS n
 WHERE n % 11 <> 0;

INSERT INTO call_analysis (call_id, summary, mood, score, call_outcome, classification, interests_and_needs,
                           action_items, sentiment)
SELECT format('call-%s', to_char(n, 'FM0000')),
       E'Customer called to schedule a product demo.\nThey asked for "a quick one", next week.',
       (ARRAY['Positive', 'Neutral', 'Negative'])[1 + n % 3],
       CASE WHEN n % 8 <> 0 THEN 50 + n % 50 + (n % 2) * 0.5 END,
       (ARRAY['Demo Scheduled', 'Call Back', 'No Interest'])[1 + n % 3],
       'Sales Inquiry',
       jsonb_build_object('products', jsonb_build_array('Pro plan', 'API'), 'budget', 1200.50),
       jsonb_build_array(jsonb_build_object('task', 'Send the offer', 'due', '2025-01-21')),
       jsonb_build_object('overall', 'positive', 'confidence', 0.87)
  FROM generate_series(1, 1000) AS n
 WHERE n % 13 <> 0;

COMMIT;

-- This is what the platform does when a call is over. The trigger on calls enqueues it in the same transaction.
SELECT format($$UPDATE calls SET status = 'completed', completed_at = now() WHERE id = %L$$, id)
  FROM calls
 WHERE status = 'in_progress'
 ORDER BY random()
\gexec
