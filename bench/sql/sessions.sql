-- A table with a key in no order, beside those of the product; pgbench_history has no key at all.
CREATE TABLE sessions (id uuid PRIMARY KEY, person bigint NOT NULL, at timestamptz, agent text, state jsonb);
INSERT INTO sessions
SELECT md5('session' || g)::uuid, g % :people + 1, timestamptz '2026-06-01' + g * interval '1 second',
       md5('agent' || g) || md5('version' || g), jsonb_build_object('step', g % 97, 'token', md5('token' || g))
FROM generate_series(1, :people) g;
