"""BM25 of bm25s beside Lastro's on BEIR folders: nDCG@10 and Recall@100 of the same questions.

    python reference_bm25.py FOLDER... [--lang en]

The reference ranks whole passages (title and text as one field; Lucene's BM25, k1 1.2, b 0.75). Its tokens: runs of
letters and digits in lower case without accents, the stop words of retrieval/stop_words.cc left out, Snowball stems of the
collection's language. Lastro ranks the chunks of the passages as it does for users. Needs bm25s, numpy and PyStemmer.
"""

import argparse
import json
import math
import os
import pathlib
import re
import subprocess
import unicodedata

import bm25s
import Stemmer

ROOT = pathlib.Path(__file__).resolve().parents[2]
LASTRO = pathlib.Path(os.environ.get("LASTRO_BUILD_DIR", ROOT / "build/release")) / "services/lastro"
DEPTH = 100


def stop_words():
    source = (ROOT / "retrieval/stop_words.cc").read_text()
    return set(word for text in re.findall(r'"([a-z ]+)"', source) for word in text.split())


class Tokens:
    def __init__(self, lang):
        self.stem = Stemmer.Stemmer({"en": "english", "pt": "portuguese"}[lang]).stemWord
        self.stop_words = stop_words()

    @staticmethod
    def fold(text):
        return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))

    def __call__(self, text):
        words = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).lower())
        return [self.fold(self.stem(word)) for word in words if self.fold(word) not in self.stop_words]


def read_folder(folder):
    lines = lambda name: [json.loads(line) for line in open(folder / name, encoding="utf-8")]
    judgements = {}
    path = folder / "qrels.tsv"
    for line in (path if path.exists() else folder / "qrels/test.tsv").read_text().splitlines()[1:]:
        query, passage, gain = line.split("\t")
        if float(gain) > 0:
            judgements.setdefault(query, {})[passage] = float(gain)
    queries = [query for query in lines("queries.jsonl") if query["_id"] in judgements]
    return lines("corpus.jsonl"), queries, judgements


def ndcg(ranked, gains, k=10):
    found = sum(gains.get(id, 0) / math.log2(i + 2) for i, id in enumerate(ranked[:k]))
    return found / sum(gain / math.log2(i + 2) for i, gain in enumerate(sorted(gains.values(), reverse=True)[:k]))


def reference(folder, lang):
    corpus, queries, judgements = read_folder(folder)
    tokens = Tokens(lang)
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    index.index([tokens(f"{p.get('title') or ''} {p['text']}") for p in corpus], show_progress=False)
    scores = []
    for query in queries:
        found, _ = index.retrieve([tokens(query["text"])], k=min(DEPTH, len(corpus)), show_progress=False)
        ranked = [corpus[i]["_id"] for i in found[0]]
        gains = judgements[query["_id"]]
        scores.append((ndcg(ranked, gains), len(gains.keys() & set(ranked)) / len(gains)))
    return [sum(column) / len(scores) for column in zip(*scores)]


def lastro(folder):
    out = subprocess.run([LASTRO, "--json", "eval", folder, "--retrieval-only"], check=True, stdout=subprocess.PIPE).stdout
    means = {metric["name"]: metric["mean"] for metric in json.loads(out)["groups"][0]["metrics"]}
    return [means["bm25.ndcg@10"], means["bm25.recall@100"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--lang", default="en", choices=["en", "pt"])
    parser.add_argument("--reference-only", action="store_true")
    args = parser.parse_args()
    print("| collection | | nDCG@10 | Recall@100 |\n|---|---|---|---|")
    for folder in args.folders:
        for name, measure in [("bm25s", lambda: reference(folder, args.lang)), ("Lastro", lambda: lastro(folder))]:
            if name == "Lastro" and args.reference_only:
                continue
            print(f"| {folder.name} | {name} | " + " | ".join(f"{value:.4f}" for value in measure()) + " |", flush=True)


if __name__ == "__main__":
    main()
