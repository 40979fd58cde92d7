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
joined=$(mktemp)

sed -e ':more' -e '/\\$/N; s/\\\n//; t more' "$lock" > "$joined" # a package and its hashes in one line
case $part in
    nets) grep -E "$large" "$joined" > "$wanted" ;;
    rest) grep -vE "$large" "$joined" > "$wanted" ;;
    *) echo "install-python.sh: part is $part; it must be nets or rest" >&2 && exit 2 ;;
esac
test -x /opt/earsight/bin/python || python3.11 -m venv /opt/earsight
/opt/earsight/bin/python -m pip install --quiet --no-input --no-cache-dir --no-deps --require-hashes \
    -r "$wanted"
rm "$wanted" "$joined"
