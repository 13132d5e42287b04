"""Draws the development split by title and writes the list of hashes (dev_titles.txt).

    python dev_split.py --data ../shared/data

A title belongs to the dev part in every file it occurs in: question sets, text and pairs alike.
"""
import argparse
import collections
import random
from pathlib import Path

import common

# Fraction of titles held out per question source; small sources give more.
FRACTION = {"squad_dev": 0.12, "squad_v1.1_pt_sample": 0.3, "faquad": 0.3, "pira": 0.25, "selqa": 0.1,
            "nq_oracle (lost-in-the-middle)": 0.1, "covid-qa": 0.1, "qed": 0.1, "clapnq": 0.1}


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--data", required=True, type=Path)
    args = ap.parse_args()
    titles = collections.defaultdict(set)
    for folder in ("qa", "pairs"):
        for r in common.read_folder(args.data / folder):
            if "en" in r and "pt" in r:
                continue  # aligned paragraphs have no title: split by hash in data_embedder.py
            titles[r["source"].split(":")[0]].add(common.split_key(r))
    dev = set()
    for source in sorted(titles):
        keys = sorted(titles[source])
        random.Random("split:" + source).shuffle(keys)
        dev.update(keys[:max(1, round(len(keys) * FRACTION.get(source, common.DEV_FRACTION)))])
    for lang in ("en", "pt"):  # documents: 1% of the titles of each source
        seen = collections.defaultdict(set)
        for r in common.read_folder(args.data / "text" / lang):
            seen[r["source"]].add(common.split_key(r))
        for source in sorted(seen):
            keys = sorted(seen[source])
            random.Random("split:" + source).shuffle(keys)
            dev.update(keys[:max(1, len(keys) // 100)])
    hashes = sorted(common.key_hash(k) for k in dev)
    common.write_atomic(common.DEV_HASHES, "\n".join(hashes) + "\n")
    print(len(hashes), "dev titles;", {s: len(k) for s, k in titles.items()})


if __name__ == "__main__":
    main()
