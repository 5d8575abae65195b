# The image of every Airflow service: Airflow's own, with this project's pins.
FROM apache/airflow:3.3.2-python3.11
COPY requirements.lock /requirements.lock
RUN pip install --no-cache-dir -r /requirements.lock
COPY --chown=airflow:root pyproject.toml README.md /opt/rlg-backup/
COPY --chown=airflow:root plugins /opt/rlg-backup/plugins
RUN pip install --no-cache-dir --no-deps /opt/rlg-backup && rm -rf /opt/rlg-backup
