-- What a restore must have brought back.
SELECT 'regions', count(*) FROM regions UNION ALL SELECT 'countries', count(*) FROM countries
UNION ALL SELECT 'people', count(*) FROM people UNION ALL SELECT 'events', count(*) FROM events
UNION ALL SELECT 'pgbench_branches', count(*) FROM pgbench_branches
UNION ALL SELECT 'pgbench_tellers', count(*) FROM pgbench_tellers
UNION ALL SELECT 'pgbench_accounts', count(*) FROM pgbench_accounts
UNION ALL SELECT 'pgbench_history', count(*) FROM pgbench_history
UNION ALL SELECT 'indexes', count(*) FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'constraints', count(*) FROM pg_constraint WHERE connamespace = 'public'::regnamespace;
