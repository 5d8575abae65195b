-- Partitioned tables: their leaves hold the rows.
CREATE SCHEMA parts;
SET search_path = parts, pg_catalog;
CREATE TABLE by_list (id int, country text, v text DEFAULT 'd', PRIMARY KEY (id, country)) PARTITION BY LIST (country);
CREATE TABLE by_list_za PARTITION OF by_list FOR VALUES IN ('ZA', 'NA');
CREATE TABLE by_list_null PARTITION OF by_list DEFAULT;
INSERT INTO by_list VALUES (1, 'ZA', 'x'), (2, 'NA', NULL), (3, 'IL', 'y');
CREATE TABLE by_range (at timestamptz, n int, v text) PARTITION BY RANGE (at, n);
CREATE TABLE by_range_old PARTITION OF by_range FOR VALUES FROM (MINVALUE, MINVALUE) TO ('2000-01-01 00:00:00+00', 5);
CREATE TABLE by_range_new PARTITION OF by_range FOR VALUES FROM ('2000-01-01 00:00:00+00', 5) TO (MAXVALUE, MAXVALUE) PARTITION BY LIST ((n % 2));
CREATE TABLE by_range_even PARTITION OF by_range_new FOR VALUES IN (0);
CREATE TABLE by_range_odd PARTITION OF by_range_new FOR VALUES IN (1) PARTITION BY HASH (v);
CREATE TABLE by_range_odd_0 PARTITION OF by_range_odd FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE by_range_odd_1 PARTITION OF by_range_odd FOR VALUES WITH (MODULUS 4, REMAINDER 1);
CREATE TABLE by_range_odd_3 PARTITION OF by_range_odd FOR VALUES WITH (MODULUS 4, REMAINDER 3);
INSERT INTO by_range SELECT '1999-12-31 12:00:00+00'::timestamptz + n * interval '1 hour', n, CASE WHEN n % 5 > 0 THEN 'v' || n END FROM generate_series(1, 100) n;
CREATE TABLE by_range_empty (a int) PARTITION BY RANGE (a);
-- Attached, with its columns in another order, a dropped one among them, and a default of its own.
CREATE TABLE attached (v text DEFAULT 'own', gone int, country text NOT NULL, id int NOT NULL);
ALTER TABLE attached DROP gone;
INSERT INTO attached VALUES ('w', 'GB', 8);
ALTER TABLE by_list ATTACH PARTITION attached FOR VALUES IN ('GB');
CREATE TABLE detached PARTITION OF by_list FOR VALUES IN ('FR');
INSERT INTO by_list VALUES (20, 'FR', 'z');
ALTER TABLE by_list DETACH PARTITION detached;
CREATE TABLE generated (a int, g int GENERATED ALWAYS AS (a + 1) STORED) PARTITION BY RANGE (a);
CREATE TABLE generated_1 PARTITION OF generated FOR VALUES FROM (0) TO (10);
INSERT INTO generated VALUES (5);
CREATE UNIQUE INDEX by_list_unique ON by_list (country, id) INCLUDE (v);
CREATE INDEX by_range_index ON ONLY by_range (v);
CREATE INDEX by_range_old_index ON by_range_old (v);
ALTER INDEX by_range_index ATTACH PARTITION by_range_old_index;
CREATE TABLE refers (id int, country text, FOREIGN KEY (id, country) REFERENCES by_list);
INSERT INTO refers VALUES (1, 'ZA'), (8, 'GB'), (NULL, 'ZA');
\if :v17
CREATE TABLE with_identity (id bigint GENERATED ALWAYS AS IDENTITY, k int) PARTITION BY LIST (k);
CREATE TABLE with_identity_1 PARTITION OF with_identity FOR VALUES IN (1);
INSERT INTO with_identity (k) VALUES (1), (1);
\endif
RESET search_path;
