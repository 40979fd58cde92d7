# The trainer: tables in, a run folder out.
#
#   docker build -f docker/trainer.Dockerfile -t earsight-trainer:0.1.0 .
#   docker run --gpus all -v "$PWD":/data earsight-trainer:0.1.0 han --features out/llp
ARG BASE=earsight-base:0.1.0
FROM ${BASE}
USER 0

COPY docker/install-earsight.sh /build/
COPY pyproject.toml README.md LICENSE /app/
COPY schemas /app/schemas
COPY extractors /app/extractors
COPY models /app/models
COPY pipelines /app/pipelines
RUN /build/install-earsight.sh /app

ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /data
USER 1000
ENTRYPOINT ["python", "/app/models/train.py"]
