-- RLG Fans. Money is integer cents, times are ISO 8601 UTC text, documents are JSON text.

-- Fan accounts and creators -----------------------------------------------------------------------
CREATE TABLE fan_accounts (
    id INTEGER PRIMARY KEY,
    display_name TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE,
    phone TEXT,
    birth_date TEXT,
    town_id INTEGER REFERENCES geo_towns (id),
    avatar BLOB,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

CREATE TABLE creators (
    id INTEGER PRIMARY KEY,
    handle TEXT NOT NULL UNIQUE COLLATE NOCASE,
    legal_name TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE,
    bank_account TEXT NOT NULL,
    city_id INTEGER REFERENCES geo_cities (id),
    plan TEXT NOT NULL REFERENCES plans (code),
    rating REAL CHECK (rating BETWEEN 0 AND 5),
    profile TEXT NOT NULL CHECK (json_valid(profile)),
    joined_at TEXT NOT NULL
);

-- Subscriptions -----------------------------------------------------------------------------------
CREATE TABLE fan_subscriptions (
    fan_id INTEGER NOT NULL REFERENCES fan_accounts (id) ON DELETE CASCADE ON UPDATE CASCADE,
    creator_id INTEGER NOT NULL REFERENCES creators (id) ON DELETE CASCADE ON UPDATE CASCADE,
    plan TEXT NOT NULL REFERENCES plans (code),
    period TEXT NOT NULL CHECK (period IN ('weekly', 'monthly')),
    amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
    status TEXT NOT NULL CHECK (status IN ('active', 'paused', 'cancelled')),
    since TEXT NOT NULL,
    PRIMARY KEY (fan_id, creator_id)
) WITHOUT ROWID;

CREATE TABLE fan_payments (
    id INTEGER PRIMARY KEY,
    fan_id INTEGER NOT NULL REFERENCES fan_accounts (id) ON DELETE CASCADE ON UPDATE CASCADE,
    creator_id INTEGER REFERENCES creators (id) ON DELETE SET NULL ON UPDATE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('subscription', 'tip', 'refund')),
    amount_cents INTEGER NOT NULL CHECK ((kind = 'refund') = (amount_cents < 0)),
    message TEXT,
    paid_at TEXT NOT NULL
);

-- Monetization strategies -------------------------------------------------------------------------
CREATE TABLE monetization_strategies (
    id INTEGER PRIMARY KEY,
    creator_id INTEGER NOT NULL REFERENCES creators (id) ON DELETE CASCADE ON UPDATE CASCADE,
    kind TEXT NOT NULL,
    parameters TEXT NOT NULL CHECK (json_valid(parameters)),
    expected_uplift REAL NOT NULL,
    active INTEGER NOT NULL CHECK (active IN (0, 1))
);

CREATE TABLE strategy_results (
    strategy_id INTEGER NOT NULL REFERENCES monetization_strategies (id) ON DELETE CASCADE ON UPDATE CASCADE,
    week TEXT NOT NULL,
    conversions INTEGER NOT NULL,
    revenue_cents INTEGER NOT NULL,
    uplift REAL,
    PRIMARY KEY (strategy_id, week)
);

CREATE TABLE payouts (
    id INTEGER PRIMARY KEY,
    creator_id INTEGER NOT NULL REFERENCES creators (id) ON DELETE CASCADE ON UPDATE CASCADE,
    gross_cents INTEGER NOT NULL CHECK (gross_cents >= 0),
    share_permille INTEGER NOT NULL CHECK (share_permille BETWEEN 0 AND 1000),
    paid_cents INTEGER GENERATED ALWAYS AS (gross_cents * share_permille / 1000) STORED,
    paid_at TEXT NOT NULL
);

-- Newsletter distribution -------------------------------------------------------------------------
CREATE TABLE newsletters (
    slug TEXT NOT NULL PRIMARY KEY,
    creator_id INTEGER REFERENCES creators (id) ON DELETE SET NULL ON UPDATE CASCADE,
    subject TEXT NOT NULL,
    template TEXT NOT NULL,  -- path below files/
    segment TEXT NOT NULL CHECK (json_valid(segment)),
    sent_at TEXT
);

CREATE TABLE newsletter_deliveries (
    id INTEGER PRIMARY KEY,
    newsletter TEXT NOT NULL REFERENCES newsletters (slug) ON DELETE CASCADE ON UPDATE CASCADE,
    fan_id INTEGER NOT NULL REFERENCES fan_accounts (id) ON DELETE CASCADE ON UPDATE CASCADE,
    email TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('sent', 'opened', 'clicked', 'bounced')),
    delivered_at TEXT NOT NULL
);

-- RLG Agent Chat Bot ------------------------------------------------------------------------------
CREATE TABLE chat_conversations (
    id INTEGER PRIMARY KEY,
    fan_id INTEGER REFERENCES fan_accounts (id) ON DELETE CASCADE ON UPDATE CASCADE,  -- null: a visitor
    channel TEXT NOT NULL,
    satisfaction REAL CHECK (satisfaction BETWEEN 0 AND 1),
    opened_at TEXT NOT NULL
);

CREATE TABLE chat_messages (
    conversation_id INTEGER NOT NULL REFERENCES chat_conversations (id) ON DELETE CASCADE ON UPDATE CASCADE,
    position INTEGER NOT NULL CHECK (position > 0),
    sender TEXT NOT NULL CHECK (sender IN ('fan', 'bot')),
    body TEXT NOT NULL,
    intent TEXT,
    confidence REAL,
    sent_at TEXT NOT NULL,
    PRIMARY KEY (conversation_id, position)
) WITHOUT ROWID;

-- A log without a primary key: rows may repeat, and `detail` holds any storage class.
CREATE TABLE access_log (
    at TEXT NOT NULL,
    path TEXT NOT NULL,
    status INTEGER NOT NULL,
    fan_id INTEGER,  -- no reference: a log outlives what it speaks of
    ip TEXT,
    user_agent TEXT,
    detail
);

CREATE INDEX fan_accounts_town ON fan_accounts (town_id);
CREATE INDEX creators_city ON creators (city_id);
CREATE INDEX fan_subscriptions_creator ON fan_subscriptions (creator_id);
CREATE INDEX fan_payments_fan ON fan_payments (fan_id);
CREATE INDEX fan_payments_creator ON fan_payments (creator_id);
CREATE INDEX monetization_strategies_creator ON monetization_strategies (creator_id);
CREATE INDEX payouts_creator ON payouts (creator_id);
CREATE INDEX newsletters_creator ON newsletters (creator_id);
CREATE UNIQUE INDEX newsletter_deliveries_once ON newsletter_deliveries (newsletter, fan_id);
CREATE INDEX newsletter_deliveries_fan ON newsletter_deliveries (fan_id);
CREATE INDEX chat_conversations_fan ON chat_conversations (fan_id);

CREATE VIEW creator_earnings AS
SELECT c.id AS creator_id, sum(p.amount_cents) AS earned_cents
FROM creators AS c
LEFT JOIN fan_payments AS p ON p.creator_id = c.id
GROUP BY c.id;

CREATE TRIGGER fan_accounts_updated
AFTER UPDATE OF display_name, email, phone, birth_date, town_id, avatar ON fan_accounts
WHEN NEW.updated_at = OLD.updated_at
BEGIN
    UPDATE fan_accounts SET updated_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now') WHERE id = NEW.id;
END;

CREATE TRIGGER creators_gone AFTER DELETE ON creators
BEGIN
    INSERT INTO access_log (at, path, status, fan_id, ip, user_agent, detail)
    VALUES (OLD.joined_at, '/creators/deleted', 410, NULL, NULL, NULL, OLD.id);
END;
