-- Geography and pricing: the same in both products. Rows are loaded with triggers and references silent.

CREATE TABLE geo_regions (
    code text PRIMARY KEY,
    name text NOT NULL UNIQUE,
    pricing_tier text NOT NULL CHECK (pricing_tier IN ('special', 'sadc', 'global'))
);

CREATE TABLE geo_countries (
    code text PRIMARY KEY CHECK (code ~ '^[A-Z]{2}$'),
    name text NOT NULL UNIQUE,
    region_code text NOT NULL REFERENCES geo_regions (code)
);

CREATE TABLE geo_cities (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    country_code text NOT NULL REFERENCES geo_countries (code),
    population integer NOT NULL CHECK (population >= 0),
    lat double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lon double precision NOT NULL CHECK (lon BETWEEN -180 AND 180)
);
COMMENT ON COLUMN geo_cities.id IS 'the GeoNames id';

CREATE TABLE geo_towns (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    city_id bigint NOT NULL REFERENCES geo_cities (id),
    population integer NOT NULL CHECK (population >= 0)
);
COMMENT ON COLUMN geo_towns.id IS 'the GeoNames id';
COMMENT ON COLUMN geo_towns.city_id IS 'the nearest city of the same country';

CREATE TABLE plans (
    code text PRIMARY KEY,
    name text NOT NULL UNIQUE,
    rank smallint NOT NULL,
    features jsonb NOT NULL
);

CREATE TABLE prices (
    plan text NOT NULL REFERENCES plans (code),
    country_code text NOT NULL REFERENCES geo_countries (code),
    period text NOT NULL CHECK (period IN ('weekly', 'monthly')),
    tier text NOT NULL,
    amount_cents bigint NOT NULL CHECK (amount_cents > 0),
    currency character(3) NOT NULL,
    locked boolean NOT NULL,
    table_version integer NOT NULL,
    PRIMARY KEY (plan, country_code, period)
);
COMMENT ON TABLE prices IS 'derived from include/config/pricing.yaml; those of the Special Region are hard locked';
COMMENT ON COLUMN prices.table_version IS 'version of the price table it was derived from';

CREATE INDEX geo_countries_region ON geo_countries (region_code);
CREATE INDEX geo_cities_country ON geo_cities (country_code);
CREATE INDEX geo_towns_city ON geo_towns (city_id);
CREATE INDEX prices_country ON prices (country_code);

CREATE VIEW price_matrix AS
SELECT plan, period, tier, min(amount_cents) AS least_cents, max(amount_cents) AS most_cents, count(*) AS countries
FROM prices
GROUP BY plan, period, tier;

CREATE VIEW places AS
SELECT t.id AS town_id, t.name AS town, c.id AS city_id, c.name AS city, n.code AS country_code, r.code AS region_code
FROM geo_towns AS t
JOIN geo_cities AS c ON c.id = t.city_id
JOIN geo_countries AS n ON n.code = c.country_code
JOIN geo_regions AS r ON r.code = n.region_code;

-- The hard lock. An INSERT is refused too: a price that a locked country never had is a change as well.
CREATE FUNCTION refuse_locked_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.locked
        OR TG_OP <> 'DELETE' AND (
            NEW.locked OR EXISTS (SELECT FROM public.prices WHERE country_code = NEW.country_code AND locked)
        )
    THEN
        RAISE EXCEPTION 'Special Region prices are hard locked' USING ERRCODE = 'check_violation', TABLE = 'prices';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$$;
CREATE TRIGGER prices_locked BEFORE INSERT OR UPDATE OR DELETE ON prices
FOR EACH ROW EXECUTE FUNCTION refuse_locked_price();

CREATE FUNCTION refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Special Region prices are hard locked' USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME;
END
$$;
CREATE TRIGGER prices_locked_truncate BEFORE TRUNCATE ON prices EXECUTE FUNCTION refuse_truncate();

-- Moving a country in or out of the Special Region would change its prices as well.
CREATE FUNCTION refuse_locked_country() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM public.geo_regions WHERE code IN (OLD.region_code, NEW.region_code)
               AND pricing_tier = 'special')
    THEN
        RAISE EXCEPTION 'the Special Region is hard locked' USING ERRCODE = 'check_violation', TABLE = 'geo_countries';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER geo_countries_locked BEFORE UPDATE OF code, region_code ON geo_countries
FOR EACH ROW EXECUTE FUNCTION refuse_locked_country();

CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := date_trunc('second', now());
    RETURN NEW;
END
$$;

-- What no configuration names: it is saved all the same, as dataset `unassigned`.
CREATE TABLE feature_flags (
    name text PRIMARY KEY,
    enabled boolean NOT NULL DEFAULT false,
    audience text[] NOT NULL DEFAULT '{}'
);
INSERT INTO feature_flags VALUES
    ('chat_bot_hebrew', true, '{IL}'),
    ('newsletter_segments', true, '{staff,"beta testers"}'),
    ('weekly_billing', false, '{}');

-- A schema of its own, as migration tools make one.
CREATE SCHEMA internal;
CREATE TABLE internal.schema_migrations (
    version bigint PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL
);
INSERT INTO internal.schema_migrations VALUES
    (20240115093000, 'geography and pricing', '2024-01-15 09:30:12+02'),
    (20250603141500, 'locked prices', '2025-06-03 14:15:44+02'),
    (20260811080000, 'weekly billing', '2026-08-11 08:00:07+02');
-- How often the demo's generator changed this database (rlg_backup.demo.mutate).
CREATE SEQUENCE internal.rounds_of_changes;
