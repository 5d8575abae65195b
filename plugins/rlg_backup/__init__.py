"""RLG Backup: backups on Apache Airflow that come back exactly, and can prove it."""

__version__ = "0.1.0"
