-- This trigger notices when an analysis is written (CONTRACT §3, "Waiting for parts"). Skipped with --own-tables.

DROP TRIGGER IF EXISTS webhook_analysis_written ON call_analysis;
CREATE TRIGGER webhook_analysis_written
  AFTER INSERT OR UPDATE ON call_analysis
  FOR EACH ROW
  EXECUTE FUNCTION webhook_analysis_written();
