\ir words.sql
INSERT INTO people
SELECT g, substr(w, 1, 5) || '.' || substr(m, 8, 8) || '@' || substr(m, 16, 5) || '.example.org',
       '+27 ' || h % 90 + 10 || ' ' || h / 90 % 900 + 100 || ' ' || lpad((h % 9973)::text, 4, '0'),
       initcap(substr(w, 7, 7) || ' ' || substr(w, 22, 9)),
       (ARRAY['ZA', 'NA', 'BW', 'IL', 'GB', 'FR', 'US', 'IN'])[h % 8 + 1],
       (ARRAY['SADC', 'SADC', 'SADC', 'IL', 'GLOBAL', 'GLOBAL', 'GLOBAL', 'GLOBAL'])[h % 8 + 1],
       timestamptz '2020-01-01' + h % 180000000 * interval '1 second', (h % 100000000) / 100.0, m::uuid, h % 3 > 0,
       ARRAY[substr(w, 1, 9), substr(m, 20, 6)],
       jsonb_build_object('step', g, 'plan', h % 7, 'about', pg_temp.words(w), 'key', m),
       pg_temp.words(md5(m || 0) || md5(m || 1) || md5(m || 2) || md5(m || 3) || md5(m || 4) || md5(m || 5)
                     || md5(m || 6) || md5(m || 7) || md5(m || 8))
FROM (SELECT g, m, translate(m, '0123456789', 'ghijklmnop') AS w, ('x' || substr(m, 1, 7))::bit(28)::int AS h
      FROM (SELECT g, md5('person' || g) AS m FROM generate_series(1, :people) g OFFSET 0) made OFFSET 0) made;
ALTER TABLE people ADD PRIMARY KEY (id);
CREATE UNIQUE INDEX people_email ON people (email);
CREATE INDEX people_country ON people (country, joined);
ALTER TABLE people ADD FOREIGN KEY (country) REFERENCES countries;
