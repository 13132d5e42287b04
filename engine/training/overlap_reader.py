"""How much of what the reader is measured on shares a run of words with what it was trained on.

    python overlap_reader.py --pools work/reader work/cloze --data ../shared/data --json work/overlap_reader.json
"""
import argparse
import collections
import json
import re
from pathlib import Path

import numpy as np

import common
from train_reader import read_pools

RUN = {"passage": 13, "question": 8}  # words


def runs(text, n):
    w = re.findall(r"\w+", text.lower())
    return [hash(tuple(w[i:i + n])) for i in range(len(w) - n + 1)]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--pools", required=True, type=Path, nargs="+", help="all that were trained on; the first has the held-out examples")
    ap.add_argument("--data", required=True, type=Path)
    ap.add_argument("--json", required=True, type=Path)
    args = ap.parse_args()
    pools = read_pools(args.pools)
    train = [e for e in pools["examples"] if not e["dev"]]
    texts = {"passage": [p["text"] for p in pools["passages"] if not p["dev"]], "question": [e["question"] for e in train]}
    seen = {kind: np.unique(np.array([h for t in texts[kind] for h in runs(t, n)], np.int64)) for kind, n in RUN.items()}

    def shares(text, kind):
        mine, all_seen = np.array(runs(text, RUN[kind]), np.int64), seen[kind]
        at = np.minimum(np.searchsorted(all_seen, mine), len(all_seen) - 1)
        return bool((all_seen[at] == mine).any())
    counts = collections.defaultdict(collections.Counter)

    def see(name, kind, text):
        counts[name][kind + "s"] += 1
        counts[name][kind + "s_shared"] += shares(text, kind)
    held = [e for e in pools["examples"] if e["dev"]]
    passages = {i: f"{e['lang']} {e['source']}" for e in held for i in [e["passage"]]}
    for i, name in passages.items():
        see(name, "passage", pools["passages"][i]["text"])
    for e in held:
        see(f"{e['lang']} {e['source']}", "question", e["question"])
    root = args.data / "eval" / "rag_product_docs"
    for kind, name in (("passage", "corpus"), ("question", "queries")):
        for line in (root / f"{name}.jsonl").read_text().splitlines():
            see("eval rag_product_docs", kind, json.loads(line)["text"])
    for name, c in sorted(counts.items()):
        print(name, dict(c))
    common.write_json(args.json, counts)


if __name__ == "__main__":
    main()
