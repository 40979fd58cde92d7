# Workers with a GPU: Beam's harness, the weights and earsight.
#
#   docker build -f docker/worker.Dockerfile --build-arg RUN_AS=0 -t REGION-docker.pkg.dev/PROJECT/REPO/earsight-worker:0.1.0 .
#
# With --build-arg WEIGHTS=none no weights are in it: mount them to /var/cache/earsight/weights.
ARG BASE=earsight-base:0.1.0
FROM ${BASE}
USER 0

COPY --from=apache/beam_python3.11_sdk:2.77.0 /opt/apache/beam /opt/apache/beam

ARG WEIGHTS=bake
COPY schemas /build/schemas
COPY extractors/__init__.py /build/extractors/
COPY extractors/nets/__init__.py extractors/nets/weights.py /build/extractors/nets/
COPY docker/install-weights.sh docker/install-earsight.sh /build/
RUN /build/install-weights.sh /build ${WEIGHTS}

COPY pyproject.toml README.md LICENSE /app/
COPY schemas /app/schemas
COPY extractors /app/extractors
COPY models /app/models
COPY pipelines /app/pipelines
RUN /build/install-earsight.sh /app

# Everything is installed, so the harness need not make an environment of its own. The driver is the
# machine's; Dataflow mounts it to /usr/local/nvidia.
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1 \
    LD_LIBRARY_PATH=/usr/local/nvidia/lib64 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# Dataflow's boot program writes to folders of the machine that only root may write, so images for
# Dataflow take --build-arg RUN_AS=0; Flink, Spark and a worker pool of your own need no root.
ARG RUN_AS=1000
USER ${RUN_AS}
ENTRYPOINT ["/opt/apache/beam/boot"]
