-- Names: what a user may put between double quotes.
CREATE PROCEDURE pg_temp.named(name text, other text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', name);
    EXECUTE format('CREATE TABLE %1$I.%1$I (%1$I int PRIMARY KEY, %2$I text DEFAULT %1$L)', name, other);
    EXECUTE format('INSERT INTO %1$I.%1$I VALUES (1, %1$L), (2, NULL)', name);
    EXECUTE format('CREATE TABLE names.%1$I (%2$I text, %1$I timestamptz[])', name, other);
    EXECUTE format('INSERT INTO names.%1$I VALUES (%1$L, ''{epoch}'')', name);
    EXECUTE format('CREATE INDEX %I ON %I.%I (%I)', name || ' i', name, name, other);
    EXECUTE format('CREATE TYPE %1$I.%2$I AS ENUM (%2$L)', name, name || ' t');
    EXECUTE format('ALTER TABLE names.%I ADD "of type" %I.%I', name, name, name || ' t');
    EXECUTE format('UPDATE names.%I SET "of type" = %L', name, name || ' t');
    EXECUTE format('CREATE SEQUENCE %I.%I', name, name || ' s');
    EXECUTE format('COMMENT ON TABLE %1$I.%1$I IS %1$L', name);
    EXECUTE format('CREATE VIEW %1$I.%2$I AS SELECT * FROM %1$I.%1$I', name, name || ' v');
END $$;
CREATE SCHEMA names;
SELECT format('CALL pg_temp.named(%L, %L)', name, left('o ' || name, 40))
FROM unnest(ARRAY['Mixed Case', 'qu"ote', 'apo''strophe', 'back\slash', 'a.b', 'with space', ' lead and trail ', 'per%cent %s %I', E'new\nline',
    E'tab\t', 'naïve ünïcode', '表', '😀', 'select', 'semi;colon', '--comment', '/*comment*/', '$1', '$$', '../up', 'C:\x', '{}', '[]', '?', ':x', ':''x''',
    '0', 'public.x', 'main', 'data', 'null', 'rlg.role', E'e\u0301', E'\u200b', '~']) AS given (name)
\gexec
-- The longest there may be: 63 bytes, also of two bytes each.
SELECT format('CREATE TABLE names.%I (%I int); INSERT INTO names.%1$I VALUES (1)', name, repeat('c', 63))
FROM unnest(ARRAY[repeat('n', 63), repeat('n', 62) || 'm', repeat('é', 31)]) AS given (name)
\gexec
-- Tables that differ by case only, and columns that are called what a row or its place is called.
CREATE TABLE names."Case" (a int, "A" int, "å" int, "Å" int);
CREATE TABLE names."case" (a int);
INSERT INTO names."Case" VALUES (1, 2, 3, 4);
INSERT INTO names."case" VALUES (5);
CREATE TABLE names."columns" ("$rowid" int, "ROWID" int, region text, country text, "values" text, "row" int, "_ctid" int, columns int);
INSERT INTO names."columns" VALUES (1, 2, 'r', 'c', 'v', 6, 7, 8);
-- Names that are the same once a dot has joined them.
CREATE SCHEMA a;
CREATE TABLE a.b (v text DEFAULT 'a, b');
CREATE TABLE a."b.c" (v text DEFAULT 'a, b.c');
CREATE TABLE "a.b".c (v text DEFAULT 'a.b, c');
CREATE TABLE public."a.b" (v text DEFAULT 'public, a.b');
CREATE TABLE public."a.b.c" (v text DEFAULT 'public, a.b.c');
INSERT INTO a.b DEFAULT VALUES;
INSERT INTO a."b.c" DEFAULT VALUES;
INSERT INTO "a.b".c DEFAULT VALUES;
INSERT INTO public."a.b" DEFAULT VALUES;
INSERT INTO public."a.b.c" DEFAULT VALUES;
