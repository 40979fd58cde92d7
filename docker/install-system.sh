#!/bin/sh
# Debian packages that every image has, the account that runs what need not be root, and a cache that
# this account may write.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends ca-certificates python3.11 python3.11-venv
rm -rf /var/lib/apt/lists/*
useradd --uid 1000 --create-home earsight
install --directory --owner=earsight --group=earsight /var/cache/earsight
