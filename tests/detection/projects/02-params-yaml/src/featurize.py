import collections
import os
import pickle

import yaml

from text import words

with open("params.yaml") as f:
    featurize = yaml.safe_load(f)["featurize"]

max_words = featurize["max_words"]
lower = featurize["lower"]
in_dir = os.path.join("data", "prepared")
out_dir = os.path.join("data", "features")


def vectors(path, vocabulary):
    result = []
    for line in open(path, encoding="utf-8"):
        found = words(line, lower)
        result.append((int(line.split("\t")[1]), [found.count(word) for word in vocabulary]))
    return result


def main():
    os.makedirs(out_dir, exist_ok=True)
    train_file = os.path.join(in_dir, "train.tsv")
    counts = collections.Counter()
    for line in open(train_file, encoding="utf-8"):
        counts.update(words(line, lower))
    vocabulary = [word for word, _ in counts.most_common(max_words)]
    for part in ["train", "test"]:
        found = vectors(os.path.join(in_dir, part + ".tsv"), vocabulary)
        with open(os.path.join(out_dir, part + ".pkl"), "wb") as fd:
            pickle.dump(found, fd)


if __name__ == "__main__":
    main()
