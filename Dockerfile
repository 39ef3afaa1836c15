# Two stages: the first installs into a virtual environment, the second takes only that.
FROM python:3.11-slim AS build
WORKDIR /build
RUN python -m venv /opt/fleetsyncd
COPY requirements.txt .
RUN /opt/fleetsyncd/bin/pip install --no-cache-dir -r requirements.txt setuptools==84.2.1
COPY pyproject.toml README.md ./
COPY fleetsyncd fleetsyncd
COPY tui tui
RUN /opt/fleetsyncd/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/fleetsyncd/bin/pip uninstall --yes setuptools pip \
    && python -m compileall -q -j 0 /opt/fleetsyncd/lib

FROM python:3.11-slim
LABEL org.opencontainers.image.title="fleetsyncd" \
      org.opencontainers.image.description="Pulls a fleet's telemetry and commits it to PostgreSQL exactly once"
RUN groupadd --gid 10001 fleetsync \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin fleetsync
COPY --from=build /opt/fleetsyncd /opt/fleetsyncd
ENV PATH=/opt/fleetsyncd/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /tmp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s --start-interval=2s \
    CMD ["fleetsyncd", "health"]
ENTRYPOINT ["fleetsyncd"]
CMD ["run"]
