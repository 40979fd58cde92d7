# What every image of earsight shares: Debian 12 with its Python 3.11, the pinned packages, ffmpeg
# and deno. The CUDA runtime comes with PyTorch's packages, so no CUDA image lies below: it would
# hold the same libraries a second time. Build it first, from the folder above:
#
#   docker build -f docker/base.Dockerfile -t earsight-base:0.1.0 .
#
# Tags can be moved by those who publish the images; --build-arg DEBIAN=debian@sha256:... takes the
# digest that your registry shows for it.
ARG DEBIAN=debian:bookworm-20251229-slim
FROM ${DEBIAN}

COPY docker/install-system.sh /build/
RUN /build/install-system.sh

# Two layers, so that machines fetch them side by side.
COPY requirements.lock docker/install-python.sh /build/
RUN /build/install-python.sh /build/requirements.lock nets
# hadolint ignore=DL3059
RUN /build/install-python.sh /build/requirements.lock rest

COPY docker/tools.lock docker/install-tools.sh /build/
RUN /build/install-tools.sh /build/tools.lock

ENV PATH=/opt/earsight/bin:${PATH} \
    XDG_CACHE_HOME=/var/cache \
    NUMBA_CACHE_DIR=/var/cache/earsight/numba
USER 1000
