-- The platform's tables (CONTRACT §3), for a database that has none yet, and the two views through which the dispatcher
-- reads them. Skipped with --own-tables: such a platform defines the two views itself, with the columns that are
-- documented at the end of this file. A table or view that is found in the search path is used as it is: it is never
-- changed and never replaced. That is why these two views are here and not in views/.

-- Tables that exist must fit. The error says in one sentence what does not fit.
DO $$
DECLARE
  misfit text;
BEGIN
  SELECT CASE
           WHEN c.relkind NOT IN ('r', 'p') THEN
             format('%s is not a table: use --own-tables and define the views', need.tab)
           WHEN a.attname IS NULL THEN
             format('table %s lacks the column %s', c.oid::regclass, need.col)
           ELSE
             format('column %s of table %s has the type %s where %s is needed',
                    need.col, c.oid::regclass, format_type(a.atttypid, a.atttypmod), need.type)
         END
    INTO misfit
    FROM (VALUES
           ('agents', 'id', 'text'), ('agents', 'name', 'text'), ('agents', 'settings', 'jsonb'),
           ('calls', 'id', 'text'), ('calls', 'agent_id', 'text'), ('calls', 'status', 'text'),
           ('calls', 'recording_uri', 'text'), ('calls', 'transcript_uri', 'text'),
           ('caller_details', 'call_id', 'text'),
           ('caller_details', 'name', 'text'), ('caller_details', 'phone_number', 'text'),
           ('caller_details', 'email', 'text'), ('caller_details', 'scheduled_time', 'text'),
           ('caller_details', 'address', 'text'), ('caller_details', 'pincode', 'text'),
           ('caller_details', 'city', 'text'), ('caller_details', 'state', 'text'),
           ('caller_details', 'country', 'text'), ('caller_details', 'age', 'text'),
           ('caller_details', 'gender', 'text'), ('caller_details', 'occupation', 'text'),
           ('caller_details', 'company', 'text'), ('caller_details', 'preferred_contact_method', 'text'),
           ('caller_details', 'best_time_to_call', 'text'), ('caller_details', 'language', 'text'),
           ('call_analysis', 'call_id', 'text'),
           ('call_analysis', 'summary', 'text'), ('call_analysis', 'mood', 'text'),
           ('call_analysis', 'score', 'numeric'), ('call_analysis', 'call_outcome', 'text'),
           ('call_analysis', 'classification', 'text'), ('call_analysis', 'interests_and_needs', 'jsonb'),
           ('call_analysis', 'action_items', 'jsonb'), ('call_analysis', 'sentiment', 'jsonb')
         ) AS need (tab, col, type)
    JOIN pg_class c ON c.oid = to_regclass(need.tab)
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = need.col AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_type t ON t.oid = a.atttypid
   WHERE c.relkind NOT IN ('r', 'p')
      OR a.attname IS NULL
      OR NOT CASE need.type
               WHEN 'text' THEN t.typcategory = 'S' OR (need.col = 'status' AND t.typtype = 'e')
               WHEN 'numeric' THEN t.typcategory = 'N'
               ELSE t.oid = 'jsonb'::regtype
             END
   LIMIT 1;
  IF misfit IS NOT NULL THEN
    RAISE EXCEPTION '%', misfit;
  END IF;

  -- A call must be one row of webhook_source, never two.
  SELECT format('column %s of table %s is not unique', need.col, c.oid::regclass)
    INTO misfit
    FROM (VALUES ('agents', 'id'), ('calls', 'id'), ('caller_details', 'call_id'), ('call_analysis', 'call_id')
         ) AS need (tab, col)
    JOIN pg_class c ON c.oid = to_regclass(need.tab) AND c.relkind = 'r'
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = need.col
   WHERE NOT EXISTS (
           SELECT FROM pg_index i
            WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
              AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)
   LIMIT 1;
  IF misfit IS NOT NULL THEN
    RAISE EXCEPTION '%', misfit;
  END IF;
END
$$;

DO $$
BEGIN
  IF to_regclass('agents') IS NULL THEN
    CREATE TABLE agents (
      id       text  PRIMARY KEY,
      name     text,
      settings jsonb NOT NULL DEFAULT '{}'
    );
  END IF;

  IF to_regclass('calls') IS NULL THEN
    CREATE TABLE calls (
      id             text PRIMARY KEY,
      agent_id       text NOT NULL REFERENCES agents,
      status         text NOT NULL CHECK (status IN ('queued', 'in_progress', 'completed', 'failed', 'canceled')),
      recording_uri  text,
      transcript_uri text,
      started_at     timestamptz,
      completed_at   timestamptz
    );
  END IF;

  IF to_regclass('caller_details') IS NULL THEN
    CREATE TABLE caller_details (
      call_id                  text PRIMARY KEY REFERENCES calls ON DELETE CASCADE,
      name                     text,
      phone_number             text,
      email                    text,
      scheduled_time           text,
      address                  text,
      pincode                  text,
      city                     text,
      state                    text,
      country                  text,
      age                      text,
      gender                   text,
      occupation               text,
      company                  text,
      preferred_contact_method text,
      best_time_to_call        text,
      language                 text
    );
  END IF;

  IF to_regclass('call_analysis') IS NULL THEN
    CREATE TABLE call_analysis (
      call_id             text PRIMARY KEY REFERENCES calls ON DELETE CASCADE,
      summary             text,
      mood                text,
      score               numeric,
      call_outcome        text,
      classification      text,
      interests_and_needs jsonb,
      action_items        jsonb,
      sentiment           jsonb
    );
  END IF;
END
$$;

-- webhook_source: one row per call, completed or not.
--   call_id         text     the call
--   agent_id        text     its agent
--   recording_uri, transcript_uri                                            text, may be NULL
--   name, phone_number, email, scheduled_time, address, pincode, city, state, country, age, gender, occupation,
--   company, preferred_contact_method, best_time_to_call, language           text, of the caller; may be NULL
--   summary, mood   text     of the analysis, as are all that follow; may be NULL
--   score           numeric
--   call_outcome, classification              text
--   interests_and_needs, action_items, sentiment  jsonb
--   completed       boolean  whether the call is completed; only `resend` reads it
-- The dispatcher reads it by call_id, one call or a hundred calls at a time: that must be a look-up in an index. An
-- analysis exists when one of its columns is not NULL.
DO $$
BEGIN
  IF to_regclass('webhook_source') IS NULL THEN
    CREATE VIEW webhook_source AS
    SELECT c.id::text                       AS call_id,
           c.agent_id::text                 AS agent_id,
           c.recording_uri::text            AS recording_uri,
           c.transcript_uri::text           AS transcript_uri,
           d.name::text                     AS name,
           d.phone_number::text             AS phone_number,
           d.email::text                    AS email,
           d.scheduled_time::text           AS scheduled_time,
           d.address::text                  AS address,
           d.pincode::text                  AS pincode,
           d.city::text                     AS city,
           d.state::text                    AS state,
           d.country::text                  AS country,
           d.age::text                      AS age,
           d.gender::text                   AS gender,
           d.occupation::text               AS occupation,
           d.company::text                  AS company,
           d.preferred_contact_method::text AS preferred_contact_method,
           d.best_time_to_call::text        AS best_time_to_call,
           d.language::text                 AS language,
           a.summary::text                  AS summary,
           a.mood::text                     AS mood,
           a.score                          AS score,
           a.call_outcome::text             AS call_outcome,
           a.classification::text           AS classification,
           a.interests_and_needs            AS interests_and_needs,
           a.action_items                   AS action_items,
           a.sentiment                      AS sentiment,
           c.status = 'completed'           AS completed
      FROM calls c
      LEFT JOIN caller_details d ON d.call_id = c.id
      LEFT JOIN call_analysis a ON a.call_id = c.id;
    COMMENT ON VIEW webhook_source IS 'What the dispatcher reads of a call: one row per call';
  END IF;

  -- webhook_agents: one row per agent: id text, name text, settings jsonb (CONTRACT §3).
  IF to_regclass('webhook_agents') IS NULL THEN
    CREATE VIEW webhook_agents AS
    SELECT id::text AS id, name::text AS name, settings
      FROM agents;
    COMMENT ON VIEW webhook_agents IS 'What the dispatcher reads of an agent';
  END IF;
END
$$;
