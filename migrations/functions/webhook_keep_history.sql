-- For the triggers on webhook_deliveries and webhook_summary: refuses a statement of a member of postcall_service that
-- changes a row which is over. It does not refuse the owner (retention, or a person who erases data), nor a role that
-- is not a member of postcall_service.
CREATE OR REPLACE FUNCTION webhook_keep_history() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'postcall_service' AND pg_has_role(r.oid, 'MEMBER'))
     AND NOT pg_has_role((SELECT c.relowner FROM pg_class c WHERE c.oid = TG_RELID), 'USAGE') THEN
    RAISE EXCEPTION USING
      ERRCODE = 'insufficient_privilege',
      MESSAGE = format('the role %s may not change what is over: %s on %s', current_user, TG_OP, TG_RELID::regclass);
  END IF;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION webhook_keep_history() IS
  'Trigger: members of postcall_service cannot change what is over';
REVOKE ALL ON FUNCTION webhook_keep_history() FROM PUBLIC;
