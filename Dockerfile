# The image of every Airflow service: Airflow's own, with this project's pins.
FROM apache/airflow:3.3.2-python3.11
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
