# A Flex Template: the worker's image with Google's launcher in it, so that launcher and workers are
# the same image and can have no other version of earsight.
#
#   docker build -f docker/template.Dockerfile --build-arg WORKER=IMAGE_OF_THE_WORKER -t IMAGE .
ARG WORKER=earsight-worker:0.1.0
FROM ${WORKER}

COPY --from=gcr.io/dataflow-templates-base/python311-template-launcher-base:20240506-rc00 \
    /opt/google/dataflow/python_template_launcher /opt/google/dataflow/python_template_launcher
COPY docker/template.py /template/template.py
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/template/template.py

# The launcher writes its log and the job's file where only root may.
ARG RUN_AS=0
USER ${RUN_AS}
ENTRYPOINT ["/opt/google/dataflow/python_template_launcher"]
