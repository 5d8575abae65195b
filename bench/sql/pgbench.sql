INSERT INTO pgbench_accounts
SELECT g, (g - 1) % 40 + 1, 0, left(md5('a' || g) || md5('b' || g) || md5('c' || g), 84)
FROM generate_series(1, :accounts) g;
INSERT INTO pgbench_history
SELECT h % 400 + 1, h % 40 + 1, h % :accounts + 1, h % 10000 - 5000,
       timestamp '2026-06-01' + g * interval '2 millisecond', left(m, 22)
FROM (SELECT g, m, ('x' || substr(m, 1, 7))::bit(28)::int AS h
      FROM (SELECT g, md5('history' || g) AS m FROM generate_series(1, :history) g OFFSET 0) made OFFSET 0) made;
ALTER TABLE pgbench_accounts ADD PRIMARY KEY (aid);
ALTER TABLE pgbench_accounts ADD FOREIGN KEY (bid) REFERENCES pgbench_branches;
