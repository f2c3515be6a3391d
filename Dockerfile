# syntax=docker/dockerfile:1
# Three images from one file: `runtime` (web, workers, migrate), `flower` (the same and Flower), `caddy` (the server in front).
# What is installed is what requirements/*.lock names, with its hashes; nothing is resolved here.
ARG PYTHON=3.13-slim-bookworm
ARG CADDY=2.11-alpine

FROM python:${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements/build.lock requirements/run.lock requirements/flower.lock requirements/
# feedgen has no wheel: what builds it is locked too, comes first, and stays in this stage.
RUN pip install --require-hashes -r requirements/build.lock \
 && pip wheel --require-hashes --no-build-isolation -r requirements/run.lock -w /wheels/run
COPY pyproject.toml README.md LICENSE pressrun.example.toml ./
COPY pipeline pipeline
COPY tasks tasks
COPY schemas schemas
RUN pip wheel --no-deps --no-index --no-build-isolation . -w /wheels/run \
 && python -m venv --without-pip /opt/pressrun \
 && pip --python /opt/pressrun/bin/python install --no-index --no-deps /wheels/run/*.whl

FROM build AS build-flower
RUN pip wheel --require-hashes -r requirements/flower.lock -w /wheels/flower \
 && pip --python /opt/pressrun/bin/python install --no-index --no-deps /wheels/flower/*.whl

FROM python:${PYTHON} AS runtime
ENV PATH=/opt/pressrun/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=2 \
    PRESSRUN_CONFIG=/etc/pressrun/pressrun.toml PRESSRUN_DATA=/data
# A new named volume takes owner and mode from these folders.
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin pressrun \
 && install -d -o pressrun -g pressrun /data /data/origin /data/mirrors /etc/pressrun
COPY --from=build /opt/pressrun /opt/pressrun
WORKDIR /etc/pressrun
USER 10001:10001
CMD ["python", "-m", "pipeline.web"]

FROM runtime AS flower
COPY --from=build-flower /opt/pressrun /opt/pressrun
CMD ["celery", "-A", "tasks", "flower"]

FROM caddy:${CADDY} AS caddy
# The official binary carries cap_net_bind_service=ep, and the kernel refuses to execute that with all capabilities dropped
# (capabilities(7), "Safety checking for capability-dumb binaries"). A copy carries none; ours listens above 1024.
RUN cp /usr/bin/caddy /usr/bin/caddy-plain && mv /usr/bin/caddy-plain /usr/bin/caddy \
 && mkdir -p /data/caddy /config/caddy && chown -R 10001:10001 /data /config
COPY deploy/Caddyfile /etc/caddy/Caddyfile
USER 10001:10001
