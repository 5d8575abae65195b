"""The Airflow side: task functions, connections to clients, alerts. The only package that imports airflow."""
