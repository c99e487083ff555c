# Two stages, non-root, locked by hash. The base image must carry a digest; none is invented here:
#   docker build --build-arg BASE=python:3.11-slim-bookworm@sha256:... .
ARG BASE
FROM ${BASE} AS build
ARG BASE
RUN case "${BASE}" in *@sha256:????????????????????????????????????????????????????????????????) ;; \
      *) echo "BASE must name an image by digest: IMAGE@sha256:..." >&2; exit 1 ;; esac
WORKDIR /build
COPY requirements.lock pyproject.toml README.md ./
RUN python -m venv /opt/gateway \
 && /opt/gateway/bin/python -m pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY gateway gateway
COPY providers providers
RUN /opt/gateway/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation .

FROM ${BASE}
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin gateway \
 && install -d -o gateway -g gateway -m 0700 /var/lib/gateway
COPY --from=build /opt/gateway /opt/gateway
COPY config /etc/gateway
RUN sed -i "s|^state:.*|state: /var/lib/gateway|" /etc/gateway/gateway.yaml && grep -q "^state: /var/lib/gateway$" /etc/gateway/gateway.yaml
USER 10001
# What is made of the rules is kept in the home, so that a start takes a second where it would take ten.
RUN /opt/gateway/bin/python -I -m gateway redact --config /etc/gateway < /dev/null
VOLUME /var/lib/gateway
EXPOSE 8080 8081 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=10s CMD \
  ["/opt/gateway/bin/python", "-I", "-m", "gateway", "health", "--config", "/etc/gateway"]
ENTRYPOINT ["/opt/gateway/bin/python", "-I", "-m", "gateway"]
CMD ["serve", "--config", "/etc/gateway"]
