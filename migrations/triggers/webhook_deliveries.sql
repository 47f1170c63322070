-- Members of postcall_service cannot change a row that is over. An outcome may replace `unknown`, and a row that is in
-- flight may be deleted, because its call is requeued. The triggers are AFTER and have a WHEN, so that a row which may
-- change costs no call of the function.

DROP TRIGGER IF EXISTS webhook_outcome_changed ON webhook_deliveries;
CREATE TRIGGER webhook_outcome_changed
  AFTER UPDATE ON webhook_deliveries
  FOR EACH ROW WHEN (OLD.outcome NOT IN ('in_flight', 'unknown'))
  EXECUTE FUNCTION webhook_keep_history();

DROP TRIGGER IF EXISTS webhook_outcome_deleted ON webhook_deliveries;
CREATE TRIGGER webhook_outcome_deleted
  AFTER DELETE ON webhook_deliveries
  FOR EACH ROW WHEN (OLD.outcome <> 'in_flight')
  EXECUTE FUNCTION webhook_keep_history();
