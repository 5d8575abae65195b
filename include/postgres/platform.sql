-- RLG's two databases, empty: what docker-compose.yaml makes at the first start of its platform. /definitions is
-- include/demo/postgres.
CREATE DATABASE rlg_data;
CREATE DATABASE rlg_fans;
\connect rlg_data
\i /definitions/shared.sql
\i /definitions/rlg_data.sql
\connect rlg_fans
\i /definitions/shared.sql
\i /definitions/rlg_fans.sql
