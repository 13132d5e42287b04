"""Makes SQuAD files of the question sets' development split, for lastro eval and engine/training/calibrate_reader.py.

    python answer_sets.py --data ../shared/data --out work/answers

DATA/qa holds the question sets as JSON lines (zstd), as for engine/training; engine/training/dev_split.py says which
titles are held out. Four files: OUT/fit_en.json and OUT/fit_pt.json of one half of the held-out titles, to calibrate by,
OUT/test_en.json and OUT/test_pt.json of the other, to measure by. Each has at most 400 questions a source, drawn with a
fixed seed, those without an answer among them, their passages, and other passages of the sources up to 300; and 60
questions of held-out titles of other sources, whose passages are not there: nothing answers them.
Needs zstandard.
"""

import argparse
import collections
import hashlib
import json
import pathlib
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "engine/training"))
import common  # noqa: E402
from retrieval_sets import source_of  # noqa: E402

SOURCES = {"en": ["squad_dev", "nq_oracle (lost-in-the-middle)"], "pt": ["faquad", "squad_v1.1_pt_sample"]}
ELSEWHERE = {"en": ["covid-qa", "qed", "selqa", "fairytaleqa", "pira"], "pt": ["pira"]}
QUESTIONS_A_SOURCE = 400
QUESTIONS_ELSEWHERE = 60
PASSAGES = 300


def half_of(record):
    return "fit" if hashlib.sha256(common.split_key(record).encode()).digest()[0] % 2 else "test"


def question(record, number):
    answers = [{"text": text, "answer_start": max(0, record["context"].find(text))} for text in record["answers"]]
    return {"id": f"q{number}", "question": record["question"], "answers": answers, "is_impossible": not record["answerable"]}


def write_set(path, asked, others, elsewhere):
    """`asked`: records with their questions; `others`: records whose passages are there beside them; `elsewhere`: records
    whose questions are asked of one of these."""
    articles = collections.defaultdict(dict)  # title -> passage -> questions
    for number, record in enumerate(asked):
        articles[record.get("title") or ""].setdefault(record["context"], []).append(question(record, number))
    passages = {record["context"] for record in asked}
    for record in others:
        if len(passages) >= PASSAGES:
            break
        if record["context"] not in passages:
            passages.add(record["context"])
            articles[record.get("title") or ""].setdefault(record["context"], [])
    unrelated = [{**question(record, f"x{number}"), "answers": [], "is_impossible": True} for number, record in enumerate(elsewhere)]
    apart = next(record["context"] for record in reversed(others) if record["context"] not in passages)
    articles["questions of other texts"] = {apart: unrelated}
    data = [{"title": title, "paragraphs": [{"context": context, "qas": qas} for context, qas in paragraphs.items()]}
            for title, paragraphs in articles.items()]
    path.write_text(json.dumps({"version": "dev", "data": data}, ensure_ascii=False), encoding="utf-8")
    print(f"{path}: {len(passages)} passages, {len(asked)} questions, {sum(not r['answerable'] for r in asked)} without an answer")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    records, apart = collections.defaultdict(list), collections.defaultdict(list)
    for record in common.read_folder(args.data / "qa"):
        if source_of(record) in SOURCES.get(record["lang"], []):
            records[record["lang"]].append(record)
        elif source_of(record) in ELSEWHERE.get(record["lang"], []) and record["answerable"] and common.is_dev(record):
            apart[record["lang"]].append(record)
    for lang, sources in SOURCES.items():
        held = [record for record in records[lang] if common.is_dev(record)]
        others = [record for record in records[lang] if not common.is_dev(record)]
        random.Random("distractors:" + lang).shuffle(others)
        for half in ("fit", "test"):
            asked = []
            for source in sources:
                mine = [record for record in held if source_of(record) == source and half_of(record) == half]
                random.Random("answers:" + source).shuffle(mine)
                asked += mine[:QUESTIONS_A_SOURCE]
            elsewhere = [record for record in apart[lang] if half_of(record) == half]
            random.Random("elsewhere:" + lang).shuffle(elsewhere)
            write_set(args.out / f"{half}_{lang}.json", asked, others, elsewhere[:QUESTIONS_ELSEWHERE])


if __name__ == "__main__":
    main()
