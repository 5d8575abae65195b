CREATE TABLE regions (code text PRIMARY KEY);
CREATE TABLE countries (code text PRIMARY KEY, region text NOT NULL REFERENCES regions);
CREATE TABLE people (
    id bigint, email text NOT NULL, phone text, full_name text, country text, region text, joined timestamptz,
    balance numeric(14,2), token uuid, active boolean, tags text[], profile jsonb, note text
);
CREATE TABLE events (
    id bigint, person bigint NOT NULL, kind text, at timestamptz, country text, region text, cents bigint,
    ratio double precision, payload jsonb, trace bytea, body text
);
CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
CREATE TABLE pgbench_accounts (aid int NOT NULL, bid int, abalance int, filler char(84));
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));

INSERT INTO regions VALUES ('SADC'), ('IL'), ('GLOBAL');
INSERT INTO countries VALUES ('ZA', 'SADC'), ('NA', 'SADC'), ('BW', 'SADC'), ('IL', 'IL'),
    ('GB', 'GLOBAL'), ('FR', 'GLOBAL'), ('US', 'GLOBAL'), ('IN', 'GLOBAL');
INSERT INTO pgbench_branches SELECT g, 0 FROM generate_series(1, 40) g;
INSERT INTO pgbench_tellers SELECT g, (g - 1) / 10 + 1, 0 FROM generate_series(1, 400) g;
