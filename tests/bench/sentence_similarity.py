"""How well cosines of sentence vectors follow what people said of pairs of sentences: Spearman's rank correlation.

    python sentence_similarity.py FILE... [--embedder FOLDER]...

Files: pairs as SemEval's tasks write them (score, tab, sentence, tab, sentence; pairs nobody scored are left out), SICK's
tables with a head line, and ASSIN's XML. Vectors are those of `lastro embed`. Needs numpy and scipy.
"""

import argparse
import csv
import os
import pathlib
import subprocess
import tempfile
import xml.etree.ElementTree

import numpy as np
from scipy.stats import spearmanr

ROOT = pathlib.Path(__file__).resolve().parents[2]
LASTRO = pathlib.Path(os.environ.get("LASTRO_BUILD_DIR", ROOT / "build/release")) / "services/lastro"
BUILT_IN = "built-in"


def read_pairs(path):
    """Score, sentence and sentence of each pair."""
    if path.suffix == ".xml":
        for pair in xml.etree.ElementTree.parse(path).iter("pair"):
            yield float(pair.get("similarity")), pair.findtext("t"), pair.findtext("h")
        return
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        head = next(rows)
        if "relatedness_score" in head:
            score, first, second = map(head.index, ("relatedness_score", "sentence_A", "sentence_B"))
        else:
            score, first, second = 0, 1, 2
            rows = [head, *rows]
        for row in rows:
            if row and row[score]:
                yield float(row[score]), row[first], row[second]


def embed(texts, embedder):
    choice = [] if embedder == BUILT_IN else ["--embedder", embedder]
    with tempfile.TemporaryDirectory() as folder:
        vectors = pathlib.Path(folder) / "vectors.npy"
        subprocess.run([LASTRO, *choice, "embed", "--truncate", "--npy", vectors, "-"], check=True, text=True,
                       input="".join(" ".join(text.split()) + "\n" for text in texts), stdout=subprocess.DEVNULL)
        vectors = np.load(vectors)
    assert len(vectors) == len(texts), f"{len(vectors)} vectors of {len(texts)} texts"
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def correlation(pairs, embedder):
    scores, first, second = zip(*pairs)
    vectors = embed(first + second, embedder)
    cosines = np.sum(vectors[:len(first)] * vectors[len(first):], axis=1)
    return spearmanr(cosines, scores)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--embedder", action="append", help=f"as `lastro --embedder`, or {BUILT_IN} (default); several in turn")
    options = parser.parse_args()
    embedders = options.embedder or [BUILT_IN]
    print("| file | pairs |", " | ".join(embedders), "|")
    print("|---" * (2 + len(embedders)) + "|")
    for path in options.files:
        pairs = list(read_pairs(path))
        print(f"| {path.stem} | {len(pairs)} |", " | ".join(f"{correlation(pairs, name):.3f}" for name in embedders), "|",
              flush=True)


if __name__ == "__main__":
    main()
