# Two stages: one with uv, which installs what uv.lock pins; one without compilers, package managers or a root user.
# Once built it needs no network: prices, vocabularies, migrations and the embedded Valkey are inside.

FROM ghcr.io/astral-sh/uv:0.13.9 AS uv

FROM python:3.13-slim-bookworm AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_PROJECT_ENVIRONMENT=/opt/tollway \
    UV_PYTHON_DOWNLOADS=never \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1
WORKDIR /build
# Dependencies change less often than the code: a layer of their own.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-default-groups --extra workers --extra litellm-import --no-install-project
COPY README.md LICENSE ./
COPY src ./src
RUN uv sync --frozen --no-default-groups --extra workers --extra litellm-import --no-editable \
 && uv export --frozen --no-default-groups --extra workers --extra litellm-import --format cyclonedx1.5 --quiet \
        --output-file /opt/tollway/sbom.cdx.json

FROM python:3.13-slim-bookworm
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Tollway" \
      org.opencontainers.image.description="An LLM gateway with virtual keys, budgets that hold, and exact metering" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore pip \
 && groupadd --system --gid 10001 tollway \
 && useradd --system --uid 10001 --gid tollway --home-dir /data --shell /usr/sbin/nologin tollway \
 && install -d -o tollway -g tollway -m 0700 /data
COPY --from=build /opt/tollway /opt/tollway
COPY --chmod=0755 deploy/image/tollway-probe /usr/local/bin/tollway-probe
ENV PATH=/opt/tollway/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    TOLLWAY_DATA_DIR=/data
USER 10001:10001
WORKDIR /data
# The only folder that is written to, but for /tmp: the rest may be read-only.
VOLUME /data
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --retries=3 --start-period=60s CMD ["tollway-probe"]
ENTRYPOINT ["tollway"]
CMD ["serve"]
