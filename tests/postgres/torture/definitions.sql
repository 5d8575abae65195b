-- What stands beside the rows. Whatever fires must not fire while a backup is read or loaded.
CREATE SCHEMA defined;
SET search_path = defined, pg_catalog;
CREATE TABLE parents (id int, code text NOT NULL, UNIQUE (code), v numeric CHECK (v > 0), w int CONSTRAINT "named; check" CHECK (w <> 13) NO INHERIT,
    CONSTRAINT parents_key PRIMARY KEY (id) INCLUDE (v), CONSTRAINT "unique, later" UNIQUE (code, id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents ON UPDATE CASCADE ON DELETE SET NULL, code text REFERENCES parents (code) MATCH FULL DEFERRABLE);
-- A cycle of foreign keys, and a table that refers to itself in an order no load can keep.
ALTER TABLE parents ADD first_child int REFERENCES children DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree);
BEGIN;
INSERT INTO parents VALUES (1, 'a', 1.5, NULL, 10), (2, 'b', NULL, 1, NULL);
INSERT INTO children VALUES (10, 1, 'a'), (11, NULL, NULL);
INSERT INTO tree VALUES (1, NULL);
COMMIT;
INSERT INTO tree VALUES (3, 1), (2, 3);
UPDATE tree SET up = 2 WHERE id = 1;
-- Constraints that rows of before do not keep.
CREATE TABLE not_valid (a int, b int);
INSERT INTO not_valid VALUES (-1, 999);
ALTER TABLE not_valid ADD CONSTRAINT positive CHECK (a > 0) NOT VALID, ADD CONSTRAINT refers FOREIGN KEY (b) REFERENCES parents NOT VALID;
CREATE TABLE exclusions (during tsrange, shape circle, EXCLUDE USING gist (during WITH &&) WHERE (NOT isempty(during)),
    CONSTRAINT apart EXCLUDE USING gist (shape WITH &&) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO exclusions VALUES ('[2000-01-01,2000-01-02)', '<(0,0),1>'), ('empty', '<(5,5),1>');

CREATE TABLE indexed (id int NOT NULL, t text, j jsonb, a int[], v tsvector, p point, at timestamptz);
INSERT INTO indexed SELECT n, 't' || n, jsonb_build_object('n', n), ARRAY[n], to_tsvector('simple', 'w' || n), point(n, n), to_timestamp(n) FROM generate_series(1, 50) n;
CREATE UNIQUE INDEX by_id ON indexed (id);
CREATE INDEX by_part ON indexed (t COLLATE "C" text_pattern_ops DESC NULLS LAST) WHERE id > 10;
CREATE INDEX by_expression ON indexed (lower(t), (id % 7)) WITH (fillfactor = 50);
CREATE INDEX by_include ON indexed (id) INCLUDE (t, at);
CREATE INDEX by_gin ON indexed USING gin (j jsonb_path_ops) WITH (fastupdate = off);
CREATE INDEX by_array ON indexed USING gin (a);
CREATE INDEX by_words ON indexed USING gin (v);
CREATE INDEX by_brin ON indexed USING brin (at) WITH (pages_per_range = 4);
CREATE INDEX by_hash ON indexed USING hash (t);
CREATE INDEX by_gist ON indexed USING gist (p);
CREATE INDEX by_spgist ON indexed USING spgist (p);
ALTER INDEX by_expression ALTER COLUMN 2 SET STATISTICS 300;
\if :v15
CREATE UNIQUE INDEX by_null ON indexed (a, id) NULLS NOT DISTINCT;
\endif
ALTER TABLE indexed CLUSTER ON by_id;
ALTER TABLE indexed REPLICA IDENTITY USING INDEX by_id;
ALTER TABLE parents REPLICA IDENTITY FULL;
ALTER TABLE children REPLICA IDENTITY NOTHING;
CREATE STATISTICS about_indexed (ndistinct, dependencies, mcv) ON id, t FROM indexed;
CREATE STATISTICS about_expression ON (id % 3), lower(t) FROM indexed;
ALTER STATISTICS about_indexed SET STATISTICS 200;

CREATE FUNCTION add(a int, b int DEFAULT 2, OUT total int) LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 5 AS 'SELECT a + b';
CREATE FUNCTION standard(a int) RETURNS int LANGUAGE sql STABLE BEGIN ATOMIC SELECT a + (SELECT count(*)::int FROM defined.parents); END;
CREATE FUNCTION returned(n int) RETURNS int LANGUAGE sql RETURN n + 1;
CREATE FUNCTION rows_of(VARIADIC ids int[]) RETURNS TABLE (id int, code text) LANGUAGE plpgsql SECURITY DEFINER SET search_path = defined, pg_temp ROWS 3 AS $f$
BEGIN
    RETURN QUERY SELECT p.id, p.code FROM parents p WHERE p.id = ANY (ids);  -- $$ ' \ "
END $f$;
CREATE PROCEDURE proceed(INOUT n int) LANGUAGE plpgsql AS 'BEGIN n := n + 1; END';
CREATE FUNCTION total_state(bigint, int) RETURNS bigint LANGUAGE sql AS 'SELECT coalesce($1, 0) + coalesce($2, 0)';
CREATE AGGREGATE total(int) (SFUNC = total_state, STYPE = bigint, INITCOND = '0');
CREATE AGGREGATE nth(float8 ORDER BY anyelement) (SFUNC = ordered_set_transition, STYPE = internal, FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA);
CREATE FUNCTION near(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT lower($1) = lower($2)';
CREATE OPERATOR ~=~= (LEFTARG = text, RIGHTARG = text, FUNCTION = near, COMMUTATOR = OPERATOR(defined.~=~=), RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR FAMILY by_near USING btree;
CREATE OPERATOR CLASS int_backwards FOR TYPE int USING btree FAMILY by_near AS OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 btint4cmp(int, int);
CREATE CONVERSION own_conversion FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE COLLATION own_collation (LOCALE = 'C');
CREATE TABLE collated (a text COLLATE own_collation, b text COLLATE "POSIX");
INSERT INTO collated VALUES ('b', 'é'), ('A', 'Z');
CREATE FUNCTION own_handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE TRUSTED LANGUAGE own_language HANDLER own_handler;
CREATE FUNCTION in_own_language() RETURNS int LANGUAGE own_language AS 'BEGIN RETURN 1; END';
CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal));
CREATE TEXT SEARCH DICTIONARY own_words (TEMPLATE = simple, STOPWORDS = english, ACCEPT = false);
CREATE TEXT SEARCH PARSER own_parser (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype, HEADLINE = prsd_headline);
CREATE TEXT SEARCH TEMPLATE own_template (INIT = dsimple_init, LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH CONFIGURATION own_search (PARSER = own_parser);
ALTER TEXT SEARCH CONFIGURATION own_search ADD MAPPING FOR asciiword, word WITH own_words, simple;

CREATE VIEW seen AS SELECT p.id, p.code, c.id AS child FROM parents p LEFT JOIN children c ON c.parent = p.id;
CREATE VIEW checked WITH (security_barrier) AS SELECT * FROM parents WHERE v > 1 WITH CASCADED CHECK OPTION;
CREATE RECURSIVE VIEW down (id) AS SELECT id FROM tree WHERE id = 1 UNION SELECT t.id FROM tree t JOIN down d ON t.up = d.id;
\if :v15
CREATE VIEW as_invoker WITH (security_invoker = true) AS SELECT * FROM parents;
\endif
ALTER VIEW seen ALTER COLUMN code SET DEFAULT 'by default';
-- Materialized views that depend on one another, not in the order of their names, and one that was never filled.
CREATE MATERIALIZED VIEW z_first AS SELECT id, code FROM parents;
CREATE MATERIALIZED VIEW m_second AS SELECT count(*) AS n FROM z_first;
CREATE MATERIALIZED VIEW a_third WITH (fillfactor = 60) AS SELECT n, seen.code FROM m_second, seen;
CREATE MATERIALIZED VIEW never_filled AS SELECT * FROM parents WITH NO DATA;
CREATE UNIQUE INDEX ON z_first (id);
CREATE VIEW over_materialized AS SELECT * FROM a_third;

-- Triggers and rules that would lose or change rows if they fired while loading.
CREATE TABLE guarded (a int, b text);
INSERT INTO guarded VALUES (1, 'kept'), (2, 'kept');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.b := 'changed'; RETURN NEW; END $$;
CREATE TRIGGER a_swallow BEFORE INSERT ON guarded FOR EACH ROW WHEN (NEW.a = 2) EXECUTE FUNCTION swallow();
CREATE TRIGGER b_change BEFORE INSERT OR UPDATE OF b ON guarded FOR EACH ROW EXECUTE FUNCTION change();
CREATE TRIGGER c_refuse BEFORE INSERT ON guarded FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE CONSTRAINT TRIGGER d_later AFTER INSERT ON guarded DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER e_always AFTER TRUNCATE ON guarded EXECUTE FUNCTION refuse();
CREATE TRIGGER f_new AFTER INSERT ON guarded REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION refuse();
ALTER TABLE guarded ENABLE ALWAYS TRIGGER c_refuse;
ALTER TABLE guarded ENABLE REPLICA TRIGGER a_swallow;
ALTER TABLE guarded DISABLE TRIGGER f_new;
CREATE RULE swallowed AS ON INSERT TO guarded WHERE NEW.a > 5 DO INSTEAD NOTHING;
CREATE RULE noted AS ON DELETE TO guarded DO ALSO NOTIFY guarded;
ALTER TABLE guarded DISABLE RULE noted;
CREATE FUNCTION through_view() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER instead INSTEAD OF INSERT ON seen FOR EACH ROW EXECUTE FUNCTION through_view();
CREATE TRIGGER of_parts AFTER INSERT ON parts.by_list FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE FUNCTION no_tables() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'nobody makes tables here'; END $$;

CREATE FOREIGN DATA WRAPPER nowhere OPTIONS (debug 'true');
CREATE SERVER "far away" TYPE 'x' VERSION '1' FOREIGN DATA WRAPPER nowhere OPTIONS (host 'example.org');
CREATE USER MAPPING FOR torture_reader SERVER "far away" OPTIONS (user 'somebody');
CREATE FOREIGN TABLE foreign_rows (a int OPTIONS (column_name 'x') NOT NULL, b text) SERVER "far away" OPTIONS (table_name 't');
CREATE TABLE partly_foreign (a int, b text) PARTITION BY LIST (a);
CREATE TABLE partly_here PARTITION OF partly_foreign FOR VALUES IN (1);
CREATE FOREIGN TABLE partly_there PARTITION OF partly_foreign FOR VALUES IN (2) SERVER "far away";
INSERT INTO partly_foreign VALUES (1, 'here');

CREATE PUBLICATION of_some FOR TABLE parents, ONLY children WITH (publish = 'insert, delete');
CREATE PUBLICATION of_none WITH (publish_via_partition_root);
CREATE PUBLICATION of_all FOR ALL TABLES;
\if :v15
CREATE PUBLICATION of_rows FOR TABLE parents (id, code) WHERE (id > 5);
CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA parts, TABLE children;
\endif

COMMENT ON SCHEMA defined IS E'a comment with ''quotes'', \\ and\na line';
COMMENT ON TABLE parents IS 'of a table';
COMMENT ON COLUMN parents.v IS 'of a column';
COMMENT ON CONSTRAINT parents_key ON parents IS 'of a constraint';
COMMENT ON INDEX by_gin IS 'of an index';
COMMENT ON FUNCTION add(int, int) IS 'of a function';
COMMENT ON AGGREGATE total(int) IS 'of an aggregate';
COMMENT ON OPERATOR ~=~= (text, text) IS 'of an operator';
COMMENT ON TRIGGER b_change ON guarded IS 'of a trigger';
COMMENT ON RULE swallowed ON guarded IS 'of a rule';
COMMENT ON VIEW seen IS 'of a view';
COMMENT ON MATERIALIZED VIEW z_first IS 'of a materialized view';
COMMENT ON SEQUENCE forms.called IS 'of a sequence';
COMMENT ON TYPE made.mood IS 'of a type';
COMMENT ON DOMAIN made.percent IS 'of a domain';
COMMENT ON COLLATION own_collation IS 'of a collation';
COMMENT ON STATISTICS about_indexed IS 'of statistics';
COMMENT ON TEXT SEARCH CONFIGURATION own_search IS 'of a text search';
COMMENT ON SERVER "far away" IS 'of a server';
COMMENT ON FOREIGN TABLE foreign_rows IS 'of a foreign table';
COMMENT ON PUBLICATION of_some IS 'of a publication';
COMMENT ON ACCESS METHOD other_heap IS 'of an access method';
COMMENT ON LANGUAGE own_language IS 'of a language';
COMMENT ON CONVERSION own_conversion IS 'of a conversion';
RESET search_path;
