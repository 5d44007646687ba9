#!/bin/bash
set -e
export PYTHONPATH=.
for stage in split train evaluate; do
    echo "== $stage"
done
python src/stages/split.py --config=params.yaml
python src/stages/train.py --config=params.yaml
python src/stages/evaluate.py --config=params.yaml
