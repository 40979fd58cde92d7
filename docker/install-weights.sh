#!/bin/sh
# Published weights, into the cache that XDG_CACHE_HOME names. `none` leaves it empty, for images
# whose weights are mounted or that only download.
#
#   install-weights.sh /folder/with/schemas/and/extractors bake
set -eu
mkdir -p "$XDG_CACHE_HOME/earsight/weights"
case $2 in
    none) ;;
    bake)
        cd "$1"
        /opt/earsight/bin/python -c '
from extractors.nets.weights import WEIGHTS, find_weights

for file in WEIGHTS.values():
    find_weights(file)
'
        ;;
    *) echo "install-weights.sh: weights are $2; they must be bake or none" >&2 && exit 2 ;;
esac
chown -R earsight:earsight "$XDG_CACHE_HOME/earsight"
