#!/bin/sh
# Runs in a Debian with lintian: what it says of the package.
for deb in /mnt/firstlight_*.deb; do
	lintian --fail-on error,warning --show-overrides --tag-display-limit 0 "$deb" 2>&1 || exit 1
done
echo "ALL DONE"
