# The image of every Airflow service: Airflow's own, with this project's pins.
FROM apache/airflow:3.3.2-python3.11
USER root
# pg_dump and pg_restore of every version that is backed up: an older one does not know all that a newer server holds, and
# a newer one may write what the server's own version does not read. The base image names PostgreSQL's repository in a
# file of the same name, which this one takes the place of. Of versions that it no longer has a later one's are used.
RUN . /etc/os-release \
    && install -d /usr/share/postgresql-common/pgdg \
    && curl --fail --silent --show-error --location https://www.postgresql.org/media/keys/ACCC4CF8.asc \
        --output /usr/share/postgresql-common/pgdg/apt.postgresql.org.asc \
    && echo "deb [signed-by=/usr/share/postgresql-common/pgdg/apt.postgresql.org.asc]" \
        "https://apt.postgresql.org/pub/repos/apt ${VERSION_CODENAME}-pgdg main" > /etc/apt/sources.list.d/pgdg.list \
    && apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client-18 \
    && for version in 17 16 15 14; do \
        if apt-cache show "postgresql-client-${version}" > /dev/null 2>&1; then \
            apt-get install --yes --no-install-recommends "postgresql-client-${version}" || exit 1; \
        fi; \
    done \
    && apt-get clean && rm -rf /var/lib/apt/lists/*
USER airflow
COPY requirements.lock /requirements.lock
RUN pip install --no-cache-dir -r /requirements.lock
# Below /tmp: Airflow's user may not remove what lies in /opt.
COPY --chown=airflow:root pyproject.toml README.md /tmp/rlg-backup/
COPY --chown=airflow:root plugins /tmp/rlg-backup/plugins
RUN pip install --no-cache-dir --no-deps /tmp/rlg-backup && rm -rf /tmp/rlg-backup
# A new named volume takes its owner from the folder it covers; without one it would be root's.
USER root
RUN install -d -o airflow -g root -m 0700 /restore \
    /var/lib/rlg-backup/backups /var/lib/rlg-backup/staging /var/lib/rlg-backup/state \
    /var/lib/rlg-backup/scratch /var/lib/rlg-backup/reports
USER airflow
