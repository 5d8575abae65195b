-- The role that backs up: it reads all data of every database of the server and changes none (docs/runbooks/postgres.md).
-- As a superuser, with the password in RLG_BACKUP_PASSWORD:   psql -v ON_ERROR_STOP=1 -f backup_role.sql
\getenv password RLG_BACKUP_PASSWORD
CREATE ROLE rlg_backup LOGIN CONNECTION LIMIT 32 PASSWORD :'password';
GRANT pg_read_all_data TO rlg_backup;
ALTER ROLE rlg_backup BYPASSRLS;  -- row security would hide rows from it, and a backup of some rows is refused
