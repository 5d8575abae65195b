-- RLG Data. Money is integer cents, times are ISO 8601 UTC text, documents are JSON text.

-- Accounts and subscriptions ----------------------------------------------------------------------
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE CHECK (length(uuid) = 36),
    full_name TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE,
    phone TEXT,
    street_address TEXT,
    company TEXT,
    signup_ip TEXT NOT NULL,
    town_id INTEGER REFERENCES geo_towns (id),
    referred_by INTEGER REFERENCES accounts (id) ON DELETE SET NULL ON UPDATE CASCADE,
    preferences TEXT NOT NULL CHECK (json_valid(preferences)),
    status TEXT NOT NULL CHECK (status IN ('active', 'trial', 'suspended', 'closed')),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

CREATE TABLE subscriptions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE ON UPDATE CASCADE,
    plan TEXT NOT NULL REFERENCES plans (code),
    period TEXT NOT NULL CHECK (period IN ('weekly', 'monthly')),
    amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
    status TEXT NOT NULL CHECK (status IN ('active', 'past_due', 'cancelled')),
    started_at TEXT NOT NULL,
    cancelled_at TEXT,
    updated_at TEXT NOT NULL,
    CHECK ((status = 'cancelled') = (cancelled_at IS NOT NULL))
);

CREATE TABLE payments (
    id INTEGER PRIMARY KEY,
    subscription_id INTEGER NOT NULL REFERENCES subscriptions (id) ON DELETE CASCADE ON UPDATE CASCADE,
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE ON UPDATE CASCADE,
    amount_cents INTEGER NOT NULL,
    fee_cents INTEGER NOT NULL DEFAULT 0,
    net_cents INTEGER GENERATED ALWAYS AS (amount_cents - fee_cents) STORED,
    amount_usd REAL GENERATED ALWAYS AS (amount_cents / 100.0) VIRTUAL,
    method TEXT NOT NULL,
    payer_name TEXT NOT NULL,
    paid_at TEXT NOT NULL
);

CREATE TABLE login_sessions (
    token BLOB NOT NULL PRIMARY KEY CHECK (length(token) = 16),
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE ON UPDATE CASCADE,
    ip TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    closed_at TEXT
) WITHOUT ROWID;

CREATE TABLE exchange_rates (
    currency TEXT NOT NULL,
    day TEXT NOT NULL,
    usd_rate REAL NOT NULL CHECK (usd_rate > 0),
    PRIMARY KEY (currency, day)
) WITHOUT ROWID;

-- Data scraping -----------------------------------------------------------------------------------
CREATE TABLE scrape_sources (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE ON UPDATE CASCADE,
    country_code TEXT REFERENCES geo_countries (code),
    url TEXT NOT NULL,
    selectors TEXT NOT NULL CHECK (json_valid(selectors)),
    every_minutes INTEGER NOT NULL CHECK (every_minutes > 0)
);

CREATE TABLE scrape_jobs (
    id INTEGER PRIMARY KEY,
    source_id INTEGER NOT NULL REFERENCES scrape_sources (id) ON DELETE CASCADE ON UPDATE CASCADE,
    status TEXT NOT NULL CHECK (status IN ('queued', 'done', 'failed')),
    pages INTEGER NOT NULL DEFAULT 0,
    seconds REAL,
    started_at TEXT NOT NULL
);

CREATE TABLE scrape_results (
    id INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL REFERENCES scrape_jobs (id) ON DELETE CASCADE ON UPDATE CASCADE,
    url TEXT NOT NULL,
    title TEXT NOT NULL,
    content TEXT NOT NULL CHECK (json_valid(content)),
    thumbnail BLOB,
    sha256 TEXT NOT NULL,
    scraped_at TEXT NOT NULL
);

-- Compliance monitoring ---------------------------------------------------------------------------
CREATE TABLE compliance_rules (
    code TEXT NOT NULL PRIMARY KEY,
    title TEXT NOT NULL,
    law TEXT NOT NULL,
    country_code TEXT REFERENCES geo_countries (code),
    severity INTEGER NOT NULL CHECK (severity BETWEEN 1 AND 5)
);

CREATE TABLE compliance_checks (
    id INTEGER PRIMARY KEY,
    rule_code TEXT NOT NULL REFERENCES compliance_rules (code) ON UPDATE CASCADE,
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE ON UPDATE CASCADE,
    outcome TEXT NOT NULL CHECK (outcome IN ('met', 'breached', 'unclear')),
    score REAL NOT NULL CHECK (score BETWEEN 0 AND 1),
    checked_at TEXT NOT NULL
);

CREATE TABLE compliance_findings (
    id INTEGER PRIMARY KEY,
    check_id INTEGER NOT NULL REFERENCES compliance_checks (id) ON DELETE CASCADE ON UPDATE CASCADE,
    excerpt TEXT NOT NULL,
    resolved_at TEXT
);

-- AI analysis -------------------------------------------------------------------------------------
CREATE TABLE ai_models (
    name TEXT NOT NULL PRIMARY KEY,
    task TEXT NOT NULL,
    dimensions INTEGER NOT NULL,
    parameters TEXT NOT NULL CHECK (json_valid(parameters))
);

CREATE TABLE ai_analyses (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE ON UPDATE CASCADE,
    result_id INTEGER REFERENCES scrape_results (id) ON DELETE SET NULL ON UPDATE CASCADE,
    model TEXT NOT NULL REFERENCES ai_models (name),
    sentiment REAL CHECK (sentiment BETWEEN -1 AND 1),
    scores TEXT NOT NULL CHECK (json_valid(scores)),
    summary TEXT NOT NULL,
    analysed_at TEXT NOT NULL
);

CREATE TABLE ai_embeddings (
    analysis_id INTEGER PRIMARY KEY REFERENCES ai_analyses (id) ON DELETE CASCADE ON UPDATE CASCADE,
    vector BLOB NOT NULL  -- float32, little-endian
);

-- Reporting ---------------------------------------------------------------------------------------
CREATE TABLE reports (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE ON UPDATE CASCADE,
    title TEXT NOT NULL,
    definition TEXT NOT NULL CHECK (json_valid(definition)),
    created_at TEXT NOT NULL
);

CREATE TABLE report_runs (
    id INTEGER PRIMARY KEY,
    report_id INTEGER NOT NULL REFERENCES reports (id) ON DELETE CASCADE ON UPDATE CASCADE,
    path TEXT,  -- below files/, null when the run failed
    pages INTEGER,
    finished_at TEXT NOT NULL
);

CREATE TABLE report_recipients (
    report_id INTEGER NOT NULL REFERENCES reports (id) ON DELETE CASCADE ON UPDATE CASCADE,
    position INTEGER NOT NULL,
    email TEXT NOT NULL,
    PRIMARY KEY (report_id, position)
);

-- Super Tool integration --------------------------------------------------------------------------
CREATE TABLE super_tool_links (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL UNIQUE REFERENCES accounts (id) ON DELETE CASCADE ON UPDATE CASCADE,
    external_id TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL CHECK (json_valid(scopes)),
    linked_at TEXT NOT NULL
);

CREATE TABLE super_tool_calls (
    id INTEGER PRIMARY KEY,
    link_id INTEGER NOT NULL REFERENCES super_tool_links (id) ON DELETE CASCADE ON UPDATE CASCADE,
    operation TEXT NOT NULL,
    status INTEGER NOT NULL,
    milliseconds REAL NOT NULL,
    called_at TEXT NOT NULL
);

-- A log without a primary key: rows may repeat, and `detail` holds any storage class.
CREATE TABLE event_log (
    at TEXT NOT NULL,
    service TEXT NOT NULL,
    event TEXT NOT NULL,
    account_id INTEGER,  -- no reference: a log outlives what it speaks of
    ip TEXT,
    detail
);

CREATE INDEX accounts_town ON accounts (town_id);
CREATE INDEX accounts_referrer ON accounts (referred_by);
CREATE INDEX accounts_open ON accounts (created_at) WHERE status IN ('active', 'trial');
CREATE INDEX subscriptions_account ON subscriptions (account_id);
CREATE INDEX payments_subscription ON payments (subscription_id);
CREATE INDEX payments_account ON payments (account_id, paid_at);
CREATE INDEX login_sessions_account ON login_sessions (account_id);
CREATE INDEX scrape_sources_account ON scrape_sources (account_id);
CREATE INDEX scrape_jobs_source ON scrape_jobs (source_id);
CREATE INDEX scrape_results_job ON scrape_results (job_id);
CREATE INDEX compliance_checks_account ON compliance_checks (account_id);
CREATE INDEX compliance_checks_rule ON compliance_checks (rule_code);
CREATE INDEX compliance_findings_check ON compliance_findings (check_id);
CREATE INDEX ai_analyses_account ON ai_analyses (account_id);
CREATE INDEX ai_analyses_result ON ai_analyses (result_id);
CREATE INDEX reports_account ON reports (account_id);
CREATE INDEX report_runs_report ON report_runs (report_id);
CREATE INDEX super_tool_calls_link ON super_tool_calls (link_id);
CREATE INDEX event_log_day ON event_log (substr(at, 1, 10));

CREATE VIEW revenue_by_country AS
SELECT p.country_code, count(*) AS payments, sum(y.amount_cents) AS amount_cents, sum(y.net_cents) AS net_cents
FROM payments AS y
JOIN accounts AS a ON a.id = y.account_id
LEFT JOIN places AS p ON p.town_id = a.town_id
GROUP BY p.country_code;

CREATE VIEW open_findings AS
SELECT f.id, c.rule_code, c.account_id, r.severity
FROM compliance_findings AS f
JOIN compliance_checks AS c ON c.id = f.check_id
JOIN compliance_rules AS r ON r.code = c.rule_code
WHERE f.resolved_at IS NULL;

-- Not for `id` and `referred_by`: those follow the key of another account.
CREATE TRIGGER accounts_updated
AFTER UPDATE OF full_name, email, phone, street_address, company, town_id, preferences, status ON accounts
WHEN NEW.updated_at = OLD.updated_at
BEGIN
    UPDATE accounts SET updated_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now') WHERE id = NEW.id;
END;

CREATE TRIGGER subscriptions_logged AFTER UPDATE OF status ON subscriptions
WHEN NEW.status <> OLD.status
BEGIN
    INSERT INTO event_log (at, service, event, account_id, ip, detail)
    VALUES (NEW.updated_at, 'subscriptions', NEW.status, NEW.account_id, NULL, NEW.id);
END;
