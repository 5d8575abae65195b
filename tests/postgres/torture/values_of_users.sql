-- Types that users make: enumerations, domains, composites, ranges, base types; and casts that lie.
CREATE SCHEMA made;
CREATE TYPE made.mood AS ENUM ('sad', 'happy');
ALTER TYPE made.mood ADD VALUE 'so so, "really"' BEFORE 'happy';
ALTER TYPE made.mood ADD VALUE 'ecstatic';
ALTER TYPE made.mood ADD VALUE '' AFTER 'sad';
CREATE TYPE made.no_mood AS ENUM ();
CREATE TABLE made.moods (v made.mood, a made.mood[], none made.no_mood);
INSERT INTO made.moods SELECT v, ARRAY[v, NULL, 'sad'] FROM unnest(enum_range(NULL::made.mood)) v;

CREATE DOMAIN made.percent AS int DEFAULT 50 CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN made.percents AS made.percent[] CONSTRAINT "not too many" CHECK (cardinality(VALUE) < 5);
CREATE DOMAIN made.required AS text COLLATE "C" NOT NULL;
CREATE DOMAIN made.of_domain AS made.percent CHECK (VALUE <> 13);
CREATE DOMAIN made.late AS text;
CREATE TABLE made.domains (n int, p made.percent, a made.percents, r made.required, o made.of_domain[], l made.late DEFAULT 'x');
INSERT INTO made.domains VALUES (1, 0, '{1,2,NULL}', '', '[5:6]={7,8}', 'bad'), (2, NULL, NULL, 'x', NULL, NULL);
ALTER DOMAIN made.late ADD CONSTRAINT later CHECK (VALUE <> 'bad') NOT VALID;
INSERT INTO made.domains (n, r) VALUES (3, 'default');
CREATE DOMAIN made.calm AS made.mood CHECK (VALUE <> 'ecstatic');
CREATE DOMAIN made.calmer AS made.calm;
CREATE TABLE made.domains_of_moods (v made.calm, w made.calmer, a made.calm[]);
INSERT INTO made.domains_of_moods VALUES ('sad', 'so so, "really"', '{happy,NULL}'), (NULL, '', NULL);

CREATE TYPE made.inner_pair AS (a int, "b c" text);
CREATE TYPE made.outer_pair AS (pair made.inner_pair, pairs made.inner_pair[], moods made.mood[]);
CREATE TYPE made.dropped_attribute AS (a int, gone int, z text);
ALTER TYPE made.dropped_attribute DROP ATTRIBUTE gone;
CREATE TYPE made.no_attributes AS ();
CREATE TABLE made.composites (n int, v made.outer_pair, w made.dropped_attribute, x made.inner_pair[], e made.no_attributes);
INSERT INTO made.composites VALUES
    (1, ROW (ROW (1, E'q"\\,()\n'), ARRAY[ROW (NULL, NULL), NULL, ROW (2, '')]::made.inner_pair[], '{sad,NULL}'), ROW (1, 'z'),
     '[0:0]={"(,)"}', ROW ()),
    (2, ROW (NULL, NULL, NULL), ROW (NULL, NULL), '{}', NULL), (3, NULL, NULL, NULL, NULL), (4, ROW (ROW (NULL, NULL), '{}', '{}'), NULL, NULL, NULL);
CREATE TABLE made.of_type OF made.inner_pair (PRIMARY KEY (a), "b c" WITH OPTIONS DEFAULT 'd');
INSERT INTO made.of_type VALUES (1, NULL), (2, DEFAULT);
CREATE TABLE made.row_of_table (n int, r made.domains, rs made.moods[]);
INSERT INTO made.row_of_table SELECT 1, d, NULL FROM made.domains d WHERE n < 3;
INSERT INTO made.row_of_table SELECT 2, NULL, array_agg(m) FROM made.moods m;

CREATE FUNCTION made.text_less(text, text) RETURNS float8 LANGUAGE sql IMMUTABLE STRICT AS 'SELECT 0.0::float8';
CREATE TYPE made.text_range AS RANGE (subtype = text, collation = "C", subtype_diff = made.text_less, multirange_type_name = made.text_ranges);
CREATE TYPE made.float_range AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TABLE made.ranges (n int, t made.text_range, ts made.text_ranges, f made.float_range);
INSERT INTO made.ranges VALUES (1, '["","a \",)(]\\")', '{["a,b","c"],("d",)}', '[-0,NaN]'), (2, 'empty', '{}', '(-Infinity,5e-324]'),
    (3, '("","é"]', NULL, '(,)');

-- A base type whose functions are the server's own; another that may not leave its schema's name out.
CREATE TYPE made.shout;
CREATE FUNCTION made.shout_in(cstring) RETURNS made.shout LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION made.shout_out(made.shout) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE made.shout (INPUT = made.shout_in, OUTPUT = made.shout_out, LIKE = text, CATEGORY = 'S', DELIMITER = ';', COLLATABLE = true);
CREATE TABLE made.shouts (v made.shout, a made.shout[]);
INSERT INTO made.shouts VALUES ('loud', '{loud;NULL;"a;b";"a,b"}'), ('', '{}'), (E'tab\t\\N', NULL);

-- Casts to text that do not say what the value is, also one that is used without being asked for.
CREATE FUNCTION made.lie(made.mood) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'lie' $$;
CREATE FUNCTION made.lie(made.inner_pair) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'lie' $$;
CREATE FUNCTION made.lie(made.shout) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'lie' $$;
CREATE CAST (made.mood AS text) WITH FUNCTION made.lie(made.mood) AS IMPLICIT;
CREATE CAST (made.inner_pair AS text) WITH FUNCTION made.lie(made.inner_pair) AS ASSIGNMENT;
CREATE CAST (made.shout AS text) WITH FUNCTION made.lie(made.shout);
CREATE CAST (int4 AS made.mood) WITH INOUT;
COMMENT ON CAST (made.mood AS text) IS 'it lies';
-- Functions of a user named as those a reader needs, in the schema that a careless search path finds first.
CREATE FUNCTION public.count(int) RETURNS bigint LANGUAGE sql AS $$ SELECT -1::bigint $$;
CREATE FUNCTION public.pg_export_snapshot() RETURNS text LANGUAGE sql AS $$ SELECT 'lie' $$;
CREATE TABLE public.pg_class (relname name, oid oid);
INSERT INTO public.pg_class VALUES ('lie', 1);
