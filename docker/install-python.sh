#!/bin/sh
# Packages of a lock file, into the environment /opt/earsight, in two layers: `nets` are the few
# that make up most of the size and change least, `rest` are the others.
#
#   install-python.sh requirements.lock nets
set -eu
lock=$1
part=$2
large='^(torch|torchvision|triton|tensorflow|tensorflow-cpu|nvidia-[a-z0-9-]*|cuda-[a-z-]*)=='
wanted=$(mktemp)

case $part in
    nets) grep -E "$large" "$lock" > "$wanted" ;;
    rest) grep -vE "$large" "$lock" > "$wanted" ;;
    *) echo "install-python.sh: part is $part; it must be nets or rest" >&2 && exit 2 ;;
esac
test -x /opt/earsight/bin/python || python3.11 -m venv /opt/earsight
/opt/earsight/bin/python -m pip install --quiet --no-input --no-cache-dir --no-deps -r "$wanted"
rm "$wanted"
