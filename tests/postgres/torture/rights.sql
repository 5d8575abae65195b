-- Owners, grants, row security; and the event trigger that must be the very last to come.
ALTER SCHEMA defined OWNER TO torture_owner;
ALTER TABLE defined.parents OWNER TO torture_owner;
ALTER FUNCTION defined.add(int, int) OWNER TO torture_owner;
ALTER TYPE made.mood OWNER TO torture_owner;
ALTER SEQUENCE forms.never_called OWNER TO "Torture ""odd"" rôle";
ALTER TABLE defined.tree OWNER TO "Torture ""odd"" rôle";
ALTER MATERIALIZED VIEW defined.z_first OWNER TO torture_owner;
GRANT USAGE ON SCHEMA defined TO torture_reader WITH GRANT OPTION;
GRANT ALL ON SCHEMA forms TO PUBLIC;
GRANT SELECT, INSERT (id, code), UPDATE (v) ON defined.parents TO torture_reader;
GRANT SELECT (id) ON defined.children TO "Torture ""odd"" rôle", PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA parts TO torture_reader;
GRANT TRUNCATE, REFERENCES, TRIGGER ON defined.tree TO torture_reader WITH GRANT OPTION;
SET ROLE torture_owner;
GRANT SELECT ON defined.parents TO "Torture ""odd"" rôle" WITH GRANT OPTION;
RESET ROLE;
GRANT SELECT ON defined.z_first TO PUBLIC;
REVOKE EXECUTE ON FUNCTION defined.add(int, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION defined.add(int, int) TO torture_reader;
REVOKE USAGE ON TYPE made.percent FROM PUBLIC;
GRANT USAGE ON LANGUAGE own_language TO torture_reader;
GRANT USAGE ON FOREIGN SERVER "far away" TO torture_owner;
GRANT USAGE ON FOREIGN DATA WRAPPER nowhere TO torture_owner;
GRANT USAGE, UPDATE ON SEQUENCE forms.called TO torture_reader;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO torture_reader;
GRANT SELECT ON pg_catalog.pg_authid TO torture_owner;
REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(float8) FROM PUBLIC;
\if :v17
REVOKE ALL ON forms.no_rows FROM CURRENT_USER;  -- before, pg_dump 18 would write it for a server that has no MAINTAIN
GRANT MAINTAIN ON defined.tree TO torture_reader;
\endif
ALTER DEFAULT PRIVILEGES FOR ROLE torture_owner IN SCHEMA defined GRANT SELECT ON TABLES TO torture_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE torture_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO torture_reader;

CREATE TABLE defined.secured (id int, owner name, v text);
INSERT INTO defined.secured VALUES (1, 'torture_reader', 'seen'), (2, 'nobody', 'hidden');
ALTER TABLE defined.secured OWNER TO torture_owner;
ALTER TABLE defined.secured ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON defined.secured FOR SELECT TO torture_reader, torture_owner USING (owner = current_user);
CREATE POLICY nothing_new ON defined.secured AS RESTRICTIVE FOR INSERT WITH CHECK (false);
CREATE POLICY "odd %s ""name""" ON defined.secured FOR UPDATE TO PUBLIC USING (true) WITH CHECK (id > 5);
COMMENT ON POLICY own_rows ON defined.secured IS 'of a policy';
CREATE TABLE defined.no_policy (a int);
INSERT INTO defined.no_policy VALUES (1);
ALTER TABLE defined.no_policy ENABLE ROW LEVEL SECURITY;
CREATE VIEW defined.of_secured AS SELECT * FROM defined.secured;
GRANT SELECT ON defined.of_secured, defined.secured TO torture_reader;

-- What is set on the database itself, also what changes how values are written.
ALTER DATABASE :"DBNAME" SET "DateStyle" = 'SQL, DMY';
ALTER DATABASE :"DBNAME" SET "IntervalStyle" = 'sql_standard';
ALTER DATABASE :"DBNAME" SET "TimeZone" = 'Asia/Kathmandu';
ALTER DATABASE :"DBNAME" SET bytea_output = 'escape';
ALTER DATABASE :"DBNAME" SET extra_float_digits = -15;
ALTER DATABASE :"DBNAME" SET search_path = defined, "No Such", public;
ALTER DATABASE :"DBNAME" SET default_transaction_read_only = on;
ALTER DATABASE :"DBNAME" SET default_transaction_isolation = 'serializable';
ALTER DATABASE :"DBNAME" SET statement_timeout = '2min';
ALTER DATABASE :"DBNAME" CONNECTION LIMIT 40;
ALTER ROLE torture_reader IN DATABASE :"DBNAME" SET work_mem = '8MB';
COMMENT ON DATABASE :"DBNAME" IS 'of a database: it''s the torture';
GRANT CREATE, CONNECT ON DATABASE :"DBNAME" TO torture_reader;
REVOKE TEMPORARY ON DATABASE :"DBNAME" FROM PUBLIC;
