# The push platform on Airflow's own image. Build: docker compose build

FROM node:24-slim AS page
COPY plugins/push_provider/ui/www /page/www
RUN cd /page/www && npm ci --omit=dev --ignore-scripts && npx vite build

FROM apache/airflow:3.3.2

COPY --chown=airflow:0 pyproject.toml README.md LICENSE requirements-fab.txt /opt/push/
COPY --chown=airflow:0 plugins/push_provider /opt/push/plugins/push_provider
COPY --chown=airflow:0 docs /opt/push/docs
COPY --chown=airflow:0 --from=page /page/dist /opt/push/plugins/push_provider/ui/dist
# Airflow stands beside it, so that nothing that the package wants replaces the image's Airflow.
RUN pip install --no-cache-dir "apache-airflow==${AIRFLOW_VERSION}" -r /opt/push/requirements-fab.txt /opt/push

COPY --chown=airflow:0 dags /opt/airflow/dags
COPY --chown=airflow:0 include /opt/airflow/include
