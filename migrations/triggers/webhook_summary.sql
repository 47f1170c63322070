-- A late outcome deletes the sum of its hour, which is then counted again. Members of postcall_service cannot delete a
-- sum that is final, because a part of the counted rows is no longer in the log.

DROP TRIGGER IF EXISTS webhook_sum_deleted ON webhook_summary;
CREATE TRIGGER webhook_sum_deleted
  AFTER DELETE ON webhook_summary
  FOR EACH ROW WHEN (OLD.final)
  EXECUTE FUNCTION webhook_keep_history();
