-- The latest certificate that each host showed in the last day. A host that has renewed it is listed with the new one.
-- The rows of the day are grouped first, so that the host is taken from few URLs and not from the URL of each row.
CREATE OR REPLACE VIEW webhook_certificates AS
WITH shown AS (
  SELECT d.url, d.agent_id, d.certificate_ends_at, max(d.finished_at) AS seen_at
    FROM webhook_deliveries d
   WHERE d.claimed_at > now() - interval '1 day'
     AND d.claimed_at < 'infinity'
     AND d.certificate_ends_at IS NOT NULL
   GROUP BY d.url, d.agent_id, d.certificate_ends_at),
by_host AS (
  -- scheme://host:port, without https's own port
  SELECT regexp_replace(lower(substring(s.url, '^[A-Za-z]+://[^/?#]*')), ':0*(443)?$', '') AS host,
         s.agent_id, s.certificate_ends_at, s.seen_at
    FROM shown s)
SELECT h.host,
       (array_agg(h.certificate_ends_at ORDER BY h.seen_at DESC))[1] AS certificate_ends_at,
       max(h.seen_at)                                                AS seen_at,
       count(DISTINCT h.agent_id)                                    AS agents,
       (array_agg(h.agent_id ORDER BY h.seen_at DESC))[1]            AS agent_id
  FROM by_host h
 GROUP BY h.host
 ORDER BY certificate_ends_at;
COMMENT ON VIEW webhook_certificates IS
  'Each https host of the last 24 hours with the latest certificate that it showed; soonest end first';
COMMENT ON COLUMN webhook_certificates.agents IS
  'How many agents have a URL there';
COMMENT ON COLUMN webhook_certificates.agent_id IS
  'The agent whose delivery saw it last';
