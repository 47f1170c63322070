-- What `migrate` knows about this database. Only `migrate` writes these three tables.

CREATE TABLE webhook_migrations (
  version       int         NOT NULL,
  name          text        NOT NULL,
  applied_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  compatibility int         NOT NULL,
  CONSTRAINT webhook_migrations_pkey PRIMARY KEY (version)
);
COMMENT ON TABLE webhook_migrations IS 'The migrations of the dispatcher that this database has';
COMMENT ON COLUMN webhook_migrations.compatibility IS 'A dispatcher with a lower compatibility number refuses this database; the highest counts';

CREATE TABLE webhook_definitions (
  name       text        NOT NULL,
  checksum   text        NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT webhook_definitions_pkey PRIMARY KEY (name)
);
COMMENT ON TABLE webhook_definitions IS 'The functions, views and triggers of the dispatcher that this database has';
COMMENT ON COLUMN webhook_definitions.name IS 'The file in migrations/ without .sql, such as functions/webhook_enqueue';
COMMENT ON COLUMN webhook_definitions.checksum IS 'SHA-256 of the file''s text; a file with another text is applied again';

CREATE TABLE webhook_settings (
  key   text NOT NULL,
  value text NOT NULL,
  CONSTRAINT webhook_settings_pkey PRIMARY KEY (key)
);
COMMENT ON TABLE webhook_settings IS 'Facts about this installation; own_tables: true or false; version: the newest dispatcher that migrated it';
