-- Everything PostgreSQL lets a user make that a copy can get wrong. Read by psql, as a superuser, in an empty database:
--   psql -v ON_ERROR_STOP=1 -v whole=true -f tests/postgres/torture.sql
-- What a server is too old for, or was built without, is left out by \if.
\set QUIET on
\set VERBOSITY terse
SET client_min_messages = error;
SET client_encoding = 'UTF8';
SELECT current_setting('server_version_num')::int >= 150000 AS v15,
       current_setting('server_version_num')::int >= 160000 AS v16,
       current_setting('server_version_num')::int >= 170000 AS v17,
       current_setting('server_version_num')::int >= 180000 AS v18,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'hstore') AS contrib,
       EXISTS (SELECT FROM pg_config WHERE name = 'CONFIGURE' AND setting LIKE '%--with-libxml%') AS xml,
       EXISTS (SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) AS lz4
\gset
\ir torture/roles.sql
\ir torture/values.sql
\ir torture/values_of_users.sql
\ir torture/tables.sql
\ir torture/partitions.sql
\if :whole
\ir torture/names.sql
\endif
\ir torture/definitions.sql
\ir torture/rights.sql
\ir torture/large_objects.sql
