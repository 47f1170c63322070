-- The platform's tables tell when a call is completed (CONTRACT §3). Skipped with --own-tables.
-- AFTER, so that a row which another trigger changes or drops is judged by what became of it; and not
-- UPDATE OF status, for the same reason.

CREATE TRIGGER webhook_call_inserted
  AFTER INSERT ON calls
  FOR EACH ROW WHEN (NEW.status = 'completed')
  EXECUTE FUNCTION webhook_call_completed();

CREATE TRIGGER webhook_call_completed
  AFTER UPDATE ON calls
  FOR EACH ROW WHEN (NEW.status = 'completed' AND OLD.status IS DISTINCT FROM 'completed')
  EXECUTE FUNCTION webhook_call_completed();

CREATE TRIGGER webhook_call_uncompleted
  AFTER UPDATE ON calls
  FOR EACH ROW WHEN (OLD.status = 'completed'
                     AND (NEW.status IS DISTINCT FROM 'completed' OR NEW.id IS DISTINCT FROM OLD.id))
  EXECUTE FUNCTION webhook_call_uncompleted();

CREATE TRIGGER webhook_call_deleted
  AFTER DELETE ON calls
  FOR EACH ROW WHEN (OLD.status = 'completed')
  EXECUTE FUNCTION webhook_call_uncompleted();

CREATE TRIGGER webhook_calls_truncated
  BEFORE TRUNCATE ON calls
  FOR EACH STATEMENT
  EXECUTE FUNCTION webhook_calls_truncated();

CREATE TRIGGER webhook_analysis_written
  AFTER INSERT OR UPDATE ON call_analysis
  FOR EACH ROW
  EXECUTE FUNCTION webhook_analysis_written();
