-- The bodies that the dispatcher builds from these calls, one per line, for the loop that has no database.
-- Run it with psql --no-align --tuples-only. The strings in calls.sql have no white space behind a colon or a comma.
SELECT row_to_json(body)
  FROM (
    SELECT s.call_id AS "callId", s.recording_uri AS "recordingUri", s.transcript_uri AS "transcriptUri",
           (SELECT row_to_json(details) FROM (
              SELECT s.name, s.phone_number AS "phoneNumber", s.email, s.scheduled_time AS "scheduledTime",
                     s.address, s.pincode, s.city, s.state, s.country, s.age, s.gender, s.occupation, s.company,
                     s.preferred_contact_method AS "preferredContactMethod",
                     s.best_time_to_call AS "bestTimeToCall", s.language) AS details) AS "callerDetails",
           (SELECT row_to_json(analysis) FROM (
              SELECT s.summary, s.mood, s.score, s.call_outcome AS "callOutcome", s.classification,
                     replace(replace(s.interests_and_needs::text, ': ', ':'), ', ', ',')::json AS "interestsAndNeeds",
                     replace(replace(s.action_items::text, ': ', ':'), ', ', ',')::json AS "actionItems",
                     replace(replace(s.sentiment::text, ': ', ':'), ', ', ',')::json AS sentiment) AS analysis) AS "callAnalysis"
      FROM webhook_source AS s) AS body;
