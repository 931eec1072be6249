# One image for every service: `docker run mawja services.intake`.
# The base is an argument, so that a site can put its own hardened Python 3.11+ there.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
COPY requirements.txt /build/requirements.txt
# Wheels only: the image never needs a compiler, and a package without a wheel fails here.
RUN python3 -m venv --without-pip /opt/mawja \
    && python3 -m venv /build/pip \
    && /build/pip/bin/python -m pip --python /opt/mawja/bin/python install \
        --no-cache-dir --no-compile --require-hashes --only-binary :all: -r /build/requirements.txt
COPY services /opt/mawja/src/services
COPY protos/gen /opt/mawja/src/gen
# The root file system is read-only when it runs, so bytecode is written now.
RUN /opt/mawja/bin/python -m compileall -q -j 0 /opt/mawja

FROM ${BASE}
LABEL org.opencontainers.image.title="mawja"
COPY --from=build /opt/mawja /opt/mawja
ENV PATH=/opt/mawja/bin:$PATH \
    PYTHONPATH=/opt/mawja/src:/opt/mawja/src/gen \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
WORKDIR /tmp
USER 10001:10001
# intake 7001, dedup 7002, wave 7003, outreach 7004, broadcast 7005; webhook 7080; metrics 9100
EXPOSE 7001 7002 7003 7004 7005 7080 9100
ENTRYPOINT ["/opt/mawja/bin/python", "-m"]
CMD ["services.tools", "--help"]
