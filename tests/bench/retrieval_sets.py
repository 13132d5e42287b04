"""Makes BEIR folders of the question sets' development split, for lastro eval.

    python retrieval_sets.py --data ../shared/data --out work/retrieval

DATA/qa holds the question sets as JSON lines (zstd), as for engine/training; engine/training/dev_split.py says which
titles are held out. One folder a language: OUT/dev_en and OUT/dev_pt. The corpus is every held-out passage of the sources
below, filled up to 4,000 with their other passages; at most 250 answerable held-out questions a source are asked, drawn
with a fixed seed. Needs zstandard.
"""

import argparse
import collections
import json
import pathlib
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "engine/training"))
import common  # noqa: E402

SOURCES = {
    "en": ["squad_dev", "nq_oracle (lost-in-the-middle)", "selqa", "covid-qa", "pira", "medquad"],
    "pt": ["faquad", "squad_v1.1_pt_sample", "pira"],
}
QUESTIONS_A_SOURCE = 250
PASSAGES = 4000


def source_of(record):
    return record["source"].split(":")[0]


def write_lines(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        for record in records:
            out.write(json.dumps(record, ensure_ascii=False) + "\n")


def write_set(folder, lang, records):
    passages, by_source = {}, collections.defaultdict(list)
    others = [record for record in records if not common.is_dev(record)]
    random.Random("distractors:" + lang).shuffle(others)
    for record in [record for record in records if common.is_dev(record)] + others:
        if common.is_dev(record) or len(passages) < PASSAGES:
            passages.setdefault(record["context"], (f"p{len(passages)}", record.get("title") or ""))
        if common.is_dev(record) and record["answerable"]:
            by_source[source_of(record)].append(record)
    queries, judgements = [], []
    for source in SOURCES[lang]:
        random.Random("retrieval:" + source).shuffle(by_source[source])
        for record in by_source[source][:QUESTIONS_A_SOURCE]:
            query = f"q{len(queries)}"
            queries.append({"_id": query, "text": record["question"], "lang": lang, "answers": record["answers"],
                            "source": source.split(" (")[0]})
            judgements.append((query, passages[record["context"]][0]))
    write_lines(folder / "corpus.jsonl",
                ({"_id": id, "title": title, "text": text} for text, (id, title) in passages.items()))
    write_lines(folder / "queries.jsonl", queries)
    (folder / "qrels").mkdir(exist_ok=True)
    with open(folder / "qrels/test.tsv", "w") as out:
        out.write("query-id\tcorpus-id\tscore\n")
        out.writelines(f"{query}\t{passage}\t1\n" for query, passage in judgements)
    print(f"{folder}: {len(passages)} passages, {len(queries)} questions")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    args = parser.parse_args()
    records = collections.defaultdict(list)
    for record in common.read_folder(args.data / "qa"):
        if source_of(record) in SOURCES.get(record["lang"], []):
            records[record["lang"]].append(record)
    for lang in SOURCES:
        write_set(args.out / f"dev_{lang}", lang, records[lang])


if __name__ == "__main__":
    main()
