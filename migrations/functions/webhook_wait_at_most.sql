-- The setting postcall.wait_at_most as an interval from 0 to 7 days. A plain number is seconds. A longer interval
-- counts as 7 days, a negative one as 0. Without a setting it is 60 s; also, with a warning, when the setting is not an
-- interval. No search_path is set here, because the caller has set ours. A SET clause would cost more than the rest of
-- the function.
CREATE OR REPLACE FUNCTION webhook_wait_at_most(setting text) RETURNS interval
LANGUAGE plpgsql STABLE
AS $$
DECLARE
  spelled interval := interval '60 seconds';
BEGIN
  IF setting IS NULL OR setting = '' THEN
    NULL;
  ELSIF setting ~ '^ *[0-9]{1,9}([.][0-9]{1,9})? *$' THEN
    spelled := make_interval(secs => setting::double precision);
  ELSE
    BEGIN
      spelled := setting::interval;
    EXCEPTION WHEN OTHERS THEN
      RAISE WARNING 'postcall.wait_at_most: "%" is not an interval, calls wait for 60 s', left(setting, 40);
    END;
  END IF;
  RETURN CASE
    WHEN spelled < interval '0' THEN interval '0'
    WHEN spelled > interval '7 days' THEN interval '7 days'
    ELSE spelled
  END;
END
$$;
COMMENT ON FUNCTION webhook_wait_at_most(text) IS
  'What a value of the setting postcall.wait_at_most means, from 0 to 7 days';
REVOKE ALL ON FUNCTION webhook_wait_at_most(text) FROM PUBLIC;
