-- One night: 1 % of the rows of every large table change, in scattered places, and 0.1 % go. :night is 1, 2, 3 ...
UPDATE people SET balance = balance + 1, note = note || ' ' || :night WHERE (id * 7919 + :night) % 100 = 0;
UPDATE events SET ratio = ratio + 0.5, body = 'night ' || :night || ' ' || body WHERE (id * 7919 + :night) % 100 = 0;
UPDATE pgbench_accounts SET abalance = abalance + :night WHERE (aid::bigint * 7919 + :night) % 100 = 0;
UPDATE pgbench_history SET delta = delta + 1 WHERE (aid::bigint * 7919 + extract(epoch FROM mtime)::bigint + :night) % 100 = 0;
UPDATE sessions SET at = at + interval '1 day' WHERE (hashtext(id::text)::bigint + :night) % 100 = 0;
DELETE FROM events WHERE (id * 104729 + :night) % 1000 = 0;
DELETE FROM pgbench_accounts WHERE (aid::bigint * 104729 + :night) % 1000 = 0;
DELETE FROM pgbench_history WHERE (aid::bigint * 104729 + extract(epoch FROM mtime)::bigint + :night) % 1000 = 0;
DELETE FROM sessions WHERE (hashtext(id::text)::bigint * 31 + :night) % 1000 = 0;
CHECKPOINT;
