-- Large objects: of every length, with holes, owners, rights and comments.
SELECT lo_from_bytea(700001, '\x'), lo_from_bytea(700002, '\x00'), lo_from_bytea(4294967295, decode(repeat('00ff5c0a', CASE WHEN :'whole' THEN 1250000 ELSE 10000 END), 'hex')),
       lo_from_bytea(700003, decode(repeat('ab', 2048), 'hex')), lo_from_bytea(700004, decode(repeat('cd', 2049), 'hex')), lo_create(700005), lo_create(2147483648),
       lo_create(700006)
\g /dev/null
SELECT lo_put(700005, 1000000, '\x01'), lo_put(700005, 5000, '\x0203') \g /dev/null
BEGIN;
SELECT lo_truncate64(lo_open(700006, 131072), 6000) \g /dev/null
COMMIT;
COMMENT ON LARGE OBJECT 700002 IS E'of a large object \\ ''x''\nline';
ALTER LARGE OBJECT 700003 OWNER TO torture_owner;
GRANT SELECT ON LARGE OBJECT 700003 TO torture_reader;
GRANT ALL ON LARGE OBJECT 700004 TO PUBLIC;
REVOKE ALL ON LARGE OBJECT 700002 FROM CURRENT_USER;
CREATE TABLE forms.refers_to_large_objects (a oid);
INSERT INTO forms.refers_to_large_objects VALUES (4294967295), (700001), (2147483648);
CREATE EVENT TRIGGER no_tables ON ddl_command_start WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS') EXECUTE FUNCTION defined.no_tables();
COMMENT ON EVENT TRIGGER no_tables IS 'of an event trigger';
CREATE EVENT TRIGGER asleep ON sql_drop EXECUTE FUNCTION defined.no_tables();
ALTER EVENT TRIGGER asleep DISABLE;
