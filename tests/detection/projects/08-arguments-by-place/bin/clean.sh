#!/bin/sh
# Join the days, without their headers.
set -eu
mkdir -p build
: > build/all.csv
for day in data/days/*.csv; do
    tail -n +2 "$day" >> build/all.csv
done
