# One image for every service: `docker run mawja services.intake`.
# The base is an argument, so that a site can put its own hardened Python 3.11+ there; it needs `venv`
# and pip. It builds, and gives Python and its libraries; nothing else of it is in the image.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
# A site behind its own certificates or packages says so: both are pip's, and stay out of the image.
ARG PIP_CERT
ARG PIP_FIND_LINKS
COPY requirements.txt /build/requirements.txt
# Wheels only: the image never needs a compiler, and a package without a wheel fails here.
RUN python3 -m venv --without-pip /opt/mawja \
    && python3 -m venv /build/pip \
    && /build/pip/bin/python -m pip --python /opt/mawja/bin/python install \
        --no-cache-dir --no-compile --require-hashes --only-binary :all: -r /build/requirements.txt
COPY services /opt/mawja/src/services
COPY loadtests /opt/mawja/src/loadtests
COPY protos/gen /opt/mawja/src/gen
COPY deploy/image/gather.py /build/gather.py
# The root file system is read-only when it runs, so bytecode is written now, the same at every build.
RUN python3 /build/gather.py /opt/mawja /image \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s /image /image \
        -x 'lib2to3|/bad_'

FROM scratch
LABEL org.opencontainers.image.title="mawja"
COPY --from=build /image /
ENV PATH=/opt/mawja/bin \
    PYTHONPATH=/opt/mawja/src:/opt/mawja/src/gen \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
WORKDIR /tmp
USER 10001:10001
# intake 7001, dedup 7002, wave 7003, outreach 7004, broadcast 7005, reports 7006; webhook 7080; opt-out page 7085;
# console 7090; metrics 9100
EXPOSE 7001 7002 7003 7004 7005 7006 7080 7085 7090 9100
ENTRYPOINT ["/opt/mawja/bin/python", "-m"]
CMD ["services.tools", "--help"]
