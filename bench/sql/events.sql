\ir words.sql
INSERT INTO events
SELECT g, h % :people + 1, (ARRAY['scrape', 'report', 'newsletter', 'chat', 'alert'])[h % 5 + 1],
       timestamptz '2026-01-01' + g * interval '11 second' + h % 1000 * interval '1 millisecond',
       (ARRAY['ZA', 'NA', 'BW', 'IL', 'GB', 'FR', 'US', 'IN'])[h % 8 + 1],
       (ARRAY['SADC', 'SADC', 'SADC', 'IL', 'GLOBAL', 'GLOBAL', 'GLOBAL', 'GLOBAL'])[h % 8 + 1],
       h % 1000000, sqrt(h), jsonb_build_object('step', g, 'ok', h % 9 > 0, 'text', pg_temp.words(m)),
       decode(m, 'hex'),
       pg_temp.words(md5(m || 0) || md5(m || 1) || md5(m || 2) || md5(m || 3) || md5(m || 4) || md5(m || 5)
                     || md5(m || 6) || md5(m || 7))
FROM (SELECT g, m, ('x' || substr(m, 1, 7))::bit(28)::int AS h
      FROM (SELECT g, md5('event' || g) AS m FROM generate_series(1, :events) g OFFSET 0) made OFFSET 0) made;
ALTER TABLE events ADD PRIMARY KEY (id);
CREATE INDEX events_person ON events (person);
CREATE INDEX events_at ON events (at);
