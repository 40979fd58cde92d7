#!/bin/sh
# earsight itself, from a folder with its sources.
#
#   install-earsight.sh /app
set -eu
/opt/earsight/bin/python -m pip install --quiet --no-input --no-cache-dir --no-deps \
    --no-build-isolation "$1"
rm -rf "$1/build" "$1/earsight.egg-info"
/opt/earsight/bin/beam --help > /dev/null
