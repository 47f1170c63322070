-- The periods that are not summed up: everything after the last closed hour, and any hour whose sum was deleted so that
-- it is counted again.
CREATE OR REPLACE VIEW webhook_open_hours AS
SELECT s.hour + interval '1 hour' AS opens_at,
       coalesce((SELECT min(n.hour) FROM webhook_summary n WHERE n.hour > s.hour), 'infinity') AS ends_at
  FROM webhook_summary s
 WHERE NOT EXISTS (SELECT FROM webhook_summary n WHERE n.hour = s.hour + interval '1 hour')
UNION ALL
SELECT e.first, s.first
  FROM (SELECT date_trunc('hour', min(enqueued_at), 'UTC') AS first FROM webhook_enqueued) e,
       (SELECT coalesce(min(hour), 'infinity') AS first FROM webhook_summary) s
 WHERE e.first < s.first;
COMMENT ON VIEW webhook_open_hours IS
  'The periods that webhook_reconciliation counts itself and does not read from webhook_summary';
