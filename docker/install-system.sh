#!/bin/sh
# Debian packages that every image has, and the account that runs what need not be root.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends ca-certificates python3.11 python3.11-venv
rm -rf /var/lib/apt/lists/*
useradd --uid 1000 --create-home earsight
