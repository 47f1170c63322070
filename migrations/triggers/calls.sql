-- These triggers notice when a call is completed (CONTRACT §3). Skipped with --own-tables. They are AFTER triggers, so
-- that they see a row as other triggers left it, or not at all when one dropped it. They are not UPDATE OF status for
-- the same reason. For each statement, PostgreSQL parses the text of a WHEN again, and constants make that text long. So
-- the WHEN of updates, the most frequent, has none.

DROP TRIGGER IF EXISTS webhook_call_inserted ON calls;
CREATE TRIGGER webhook_call_inserted
  AFTER INSERT ON calls
  FOR EACH ROW WHEN (NEW.status = 'completed')
  EXECUTE FUNCTION webhook_call_changed();

DROP TRIGGER IF EXISTS webhook_call_changed ON calls;
CREATE TRIGGER webhook_call_changed
  AFTER UPDATE ON calls
  FOR EACH ROW WHEN (NEW.status IS DISTINCT FROM OLD.status OR NEW.id IS DISTINCT FROM OLD.id)
  EXECUTE FUNCTION webhook_call_changed();

DROP TRIGGER IF EXISTS webhook_call_deleted ON calls;
CREATE TRIGGER webhook_call_deleted
  AFTER DELETE ON calls
  FOR EACH ROW WHEN (OLD.status = 'completed')
  EXECUTE FUNCTION webhook_call_changed();

DROP TRIGGER IF EXISTS webhook_calls_truncated ON calls;
CREATE TRIGGER webhook_calls_truncated
  BEFORE TRUNCATE ON calls
  FOR EACH STATEMENT
  EXECUTE FUNCTION webhook_calls_truncated();
