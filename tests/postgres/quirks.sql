-- What pg_dump itself does not bring back as it was: in another leaf, in another order of columns. Rows and values must be the same.
CREATE TYPE mood AS ENUM ('sad', 'so so', 'happy');
-- The hash of an enumeration is that of its label's object id, which is another in every database.
CREATE TABLE by_enum (m mood, n int) PARTITION BY HASH (m);
CREATE TABLE by_enum_0 PARTITION OF by_enum FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE by_enum_1 PARTITION OF by_enum FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE by_enum_2 PARTITION OF by_enum FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO by_enum SELECT m, n FROM unnest(enum_range(NULL::mood)) m, generate_series(1, 5) n;
-- A table that was made first and inherits after: a dump makes its inherited columns the first ones.
CREATE TABLE parent (id int PRIMARY KEY, v text DEFAULT 'p');
CREATE TABLE adopted (more text, v text DEFAULT 'own', id int NOT NULL);
INSERT INTO parent VALUES (1, 'parent');
INSERT INTO adopted VALUES ('m', 'v', 5);
ALTER TABLE adopted INHERIT parent;
-- A value that names an index, which a dump makes after the rows.
CREATE TABLE names_index (v regclass);
INSERT INTO names_index VALUES ('parent_pkey'), ('parent');
