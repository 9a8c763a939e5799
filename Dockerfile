# syntax=docker/dockerfile:1
# Two stages: the first installs exactly what uv.lock says, hashes checked; the second takes over the result and no more.
# The digest is that of the tag's index, which names an image for each platform.
ARG BASE=docker.io/library/python:3.13.9-slim-bookworm@sha256:b685a4fa58bb19d1814d78a1ec0f0208f351452724f78b20212c984d6e124a34
FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1
WORKDIR /src
COPY tools/uv.txt tools/uv.txt
RUN pip install --require-hashes -r tools/uv.txt
# Dependencies first: this layer stays while only our own code changes.
COPY pyproject.toml uv.lock README.md LICENSE ./
COPY simulator/pyproject.toml simulator/pyproject.toml
ENV UV_PROJECT_ENVIRONMENT=/opt/vault-autoupdate
RUN uv sync --frozen --no-default-groups --no-install-workspace
COPY operator operator
RUN uv sync --frozen --no-default-groups --no-editable

FROM ${BASE}
LABEL org.opencontainers.image.title="vault-autoupdate" \
      org.opencontainers.image.description="Keeps Mobility service auto-update of Azure Site Recovery vaults as declared" \
      org.opencontainers.image.licenses="Apache-2.0"
# The standard library comes as source, and where nothing can be written it would be compiled anew at every start.
RUN groupadd --gid 65532 vault-autoupdate \
 && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin vault-autoupdate \
 && python -m compileall -q -x '/(test|tests|idlelib|lib2to3|site-packages|dist-packages)/' \
      "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=build /opt/vault-autoupdate /opt/vault-autoupdate
# Nothing is written but to /tmp, so the root file system may be read-only. USER and HOME are for a uid that no file knows,
# as OpenShift gives one.
ENV PATH=/opt/vault-autoupdate/bin:$PATH HOME=/tmp USER=vault-autoupdate PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 MALLOC_ARENA_MAX=2
USER 65532:65532
EXPOSE 8080 9090
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["vault-autoupdate"]
CMD ["run"]
