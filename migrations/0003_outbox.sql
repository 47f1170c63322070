-- Deliveries that wait to be claimed. No table of the dispatcher has a foreign key to the platform's tables: a deletion
-- by the platform never changes the log, and the log never keeps the platform from deleting.

-- The low bits of the ids of deliveries come from this sequence.
CREATE SEQUENCE webhook_delivery_id_seq AS bigint;

-- A type and not a CHECK of the table: see webhook_decline_reason.
CREATE DOMAIN webhook_cause AS text CHECK (VALUE IN ('completion', 'resend', 'test'));
COMMENT ON DOMAIN webhook_cause IS 'Why a delivery is made';

-- One row per delivery that is not claimed yet. The table stays small, because a claim deletes the rows that it claims.
--   INSERT   webhook_decide, when a call is completed; a dispatcher that requeues a delivery
--   UPDATE   webhook_ready, webhook_release_hinted and webhook_release_analysed make a waiting row due; so does the feed
--            of the claim when its wait is over. The claim postpones a row whose call cannot be read, and fills in its
--            agent.
--   DELETE   the claim, which inserts the row of webhook_deliveries in the same transaction
CREATE TABLE webhook_outbox (
  -- An id is the microseconds since 2020 and twelve bits of the sequence. So it is unique even when a restore that does
  -- not copy sequences has set the sequence back: no transaction of the platform fails because of an id that is already
  -- in the outbox. A row gets a new id whenever it becomes ready, so that dispatchers see it among the newest; it keeps
  -- its id when it moves to the log.
  id              bigint      NOT NULL
    DEFAULT ((date_part('epoch'::text, clock_timestamp()) - 1577836800::float8) * 1000000::float8)::bigint
            * 4096::bigint + nextval('webhook_delivery_id_seq'::regclass) % 4096::bigint,
  call_id         text        NOT NULL,
  agent_id        text        NOT NULL,
  cause           webhook_cause NOT NULL,
  enqueued_at     timestamptz NOT NULL,
  due_at          timestamptz NOT NULL,
  requeues        smallint    NOT NULL DEFAULT 0,
  awaits_analysis boolean     NOT NULL DEFAULT false,
  watched_until   xid8,
  unread          smallint    NOT NULL DEFAULT 0,
  CONSTRAINT webhook_outbox_pkey PRIMARY KEY (id)
) WITH (
  -- Rows live for milliseconds, so a vacuum runs after a thousand dead rows, not after a fifth of the table. The end of
  -- the file is never truncated, because that takes a lock that claims would wait for.
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_insert_scale_factor = 0,
  autovacuum_vacuum_insert_threshold = 10000,
  autovacuum_analyze_scale_factor = 0,
  autovacuum_analyze_threshold = 10000,
  autovacuum_vacuum_cost_delay = 0,
  vacuum_truncate = false
);
ALTER SEQUENCE webhook_delivery_id_seq OWNED BY webhook_outbox.id;

-- The claim looks up the rows of an agent in this index. Calls that wait for their analysis are not in it, so that the
-- claim does not step over them, however many they are. The feed first makes those due whose wait is over; it finds them
-- in the second index. It reads the newest rows by the primary key.
CREATE INDEX webhook_outbox_ready ON webhook_outbox (agent_id, due_at, id) WHERE NOT awaits_analysis;
CREATE INDEX webhook_outbox_awaiting_due ON webhook_outbox (due_at) WHERE awaits_analysis;
-- The next three are empty unless postcall.wait_for is set. The first is for webhook_release_hinted, the others are for
-- webhook_release_analysed.
CREATE INDEX webhook_outbox_awaiting ON webhook_outbox (call_id) WHERE awaits_analysis;
CREATE INDEX webhook_outbox_awaiting_watched ON webhook_outbox (id)
  WHERE awaits_analysis AND watched_until IS DISTINCT FROM '0'::xid8;
CREATE INDEX webhook_outbox_awaiting_turn ON webhook_outbox ((id % 32)) WHERE awaits_analysis;
-- Two operators at once cannot enqueue one call for two resends. (The ledger guards completions.)
CREATE UNIQUE INDEX webhook_outbox_one_resend ON webhook_outbox (call_id) WHERE cause = 'resend';

COMMENT ON TABLE webhook_outbox IS 'Deliveries that wait for a dispatcher to claim them';
COMMENT ON COLUMN webhook_outbox.agent_id IS 'Empty: it could not be read when the call was completed; the claim finds it';
COMMENT ON COLUMN webhook_outbox.cause IS 'completion, resend or test';
COMMENT ON COLUMN webhook_outbox.enqueued_at IS 'When the call was enqueued, by clock_timestamp()';
COMMENT ON COLUMN webhook_outbox.due_at IS 'It is not claimed before this moment';
COMMENT ON COLUMN webhook_outbox.requeues IS 'How often a dispatcher requeued it because its own machine failed before a byte was sent';
COMMENT ON COLUMN webhook_outbox.awaits_analysis IS 'True: the row becomes due early when its analysis is committed. False: that has happened, or the wait is over, or there was none';
COMMENT ON COLUMN webhook_outbox.watched_until IS 'Of a row that awaits its analysis: it is checked every second until all transactions before this one are over; NULL: not seen yet; 0: they are over';
COMMENT ON COLUMN webhook_outbox.unread IS 'How often it was postponed because its call could not be read: an error of a source view, or too large to be read in time';

-- Calls whose analysis was written, by a transaction that must not hold a lock on their row of the outbox.
--   INSERT   webhook_ready, in the platform's transaction
--   DELETE   webhook_release_hinted and webhook_release_analysed, a few times per second while calls wait
CREATE TABLE webhook_analysis_hints (
  call_id text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE webhook_analysis_hints IS 'Calls that webhook_release_hinted looks at next';
