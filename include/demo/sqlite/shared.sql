-- Geography and pricing: the same in both products.

CREATE TABLE geo_regions (
    code TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    pricing_tier TEXT NOT NULL CHECK (pricing_tier IN ('special', 'sadc', 'global'))
);

CREATE TABLE geo_countries (
    code TEXT NOT NULL PRIMARY KEY CHECK (length(code) = 2),
    name TEXT NOT NULL UNIQUE,
    region_code TEXT NOT NULL REFERENCES geo_regions (code)
);

CREATE TABLE geo_cities (
    id INTEGER PRIMARY KEY,  -- the GeoNames id
    name TEXT NOT NULL,
    country_code TEXT NOT NULL REFERENCES geo_countries (code),
    population INTEGER NOT NULL CHECK (population >= 0),
    lat REAL NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lon REAL NOT NULL CHECK (lon BETWEEN -180 AND 180)
);

CREATE TABLE geo_towns (
    id INTEGER PRIMARY KEY,  -- the GeoNames id
    name TEXT NOT NULL,
    city_id INTEGER NOT NULL REFERENCES geo_cities (id),  -- the nearest city of the same country
    population INTEGER NOT NULL CHECK (population >= 0)
);

CREATE TABLE plans (
    code TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    rank INTEGER NOT NULL,
    features TEXT NOT NULL CHECK (json_valid(features))
);

CREATE TABLE prices (
    plan TEXT NOT NULL REFERENCES plans (code),
    country_code TEXT NOT NULL REFERENCES geo_countries (code),
    period TEXT NOT NULL CHECK (period IN ('weekly', 'monthly')),
    tier TEXT NOT NULL,
    amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
    currency TEXT NOT NULL CHECK (length(currency) = 3),
    locked INTEGER NOT NULL CHECK (locked IN (0, 1)),
    table_version INTEGER NOT NULL,  -- version of the price table it was derived from
    PRIMARY KEY (plan, country_code, period)
) WITHOUT ROWID;

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

-- The hard lock. An INSERT is refused too: with OR REPLACE it would delete a locked row unseen.
CREATE TRIGGER prices_locked_insert BEFORE INSERT ON prices
WHEN NEW.locked = 1 OR EXISTS (SELECT 1 FROM prices WHERE country_code = NEW.country_code AND locked = 1)
BEGIN
    SELECT RAISE(ABORT, 'Special Region prices are hard locked');
END;

CREATE TRIGGER prices_locked_update BEFORE UPDATE ON prices
WHEN OLD.locked = 1 OR NEW.locked = 1
    OR EXISTS (SELECT 1 FROM prices WHERE country_code = NEW.country_code AND locked = 1)
BEGIN
    SELECT RAISE(ABORT, 'Special Region prices are hard locked');
END;

CREATE TRIGGER prices_locked_delete BEFORE DELETE ON prices
WHEN OLD.locked = 1
BEGIN
    SELECT RAISE(ABORT, 'Special Region prices are hard locked');
END;

-- Moving a country in or out of the Special Region would change its prices as well.
CREATE TRIGGER geo_countries_locked BEFORE UPDATE OF code, region_code ON geo_countries
WHEN EXISTS (SELECT 1 FROM geo_regions WHERE code IN (OLD.region_code, NEW.region_code) AND pricing_tier = 'special')
BEGIN
    SELECT RAISE(ABORT, 'the Special Region is hard locked');
END;
