"""Builds the reader's pools: passages, questions with answer spans, mined negatives and glossed copies.

    python data_reader.py --data ../shared/data --embedder ../../deploy/models/embedder --out work/reader [--wordnet FOLDER]

An example is a question, its passage and the character spans that answer it there; without spans it teaches relevance only.
FOLDER as for data_embedder.py. Glossed copies are English examples whose words were replaced by Portuguese translations, in the
question, the passage or both: they carry what the English sets teach into Portuguese and across both languages.
"""
import argparse
import collections
import json
import random
import re
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

import common
import data_embedder
import lexicon

NO_SPAN_SOURCES = {"selqa", "medquad", "faq"}  # the answer is a sentence or the passage itself
GLOSSED = {"squad_dev", "nq_oracle (lost-in-the-middle)", "qed", "selqa"}
MINED, NEAR = 6, 20  # negatives kept of each question, of so many near passages
LONGEST = 2400  # characters of a passage that serves as a candidate


def words(text):
    return re.findall(r"\w+", text.lower())


def occurrences(answer, text):
    """Character spans of `answer` in `text`, whole words where there are any."""
    body = re.escape(answer.strip())
    for pattern in (r"(?<!\w)" + body + r"(?!\w)", body):
        found = [m.span() for m in re.finditer(pattern, text, re.I)]
        if found:
            return found
    return []


def fuzzy(answer, text, least=0.75):
    """The span whose words agree best with a rephrased answer's (F1), or None below `least`."""
    want, at = collections.Counter(words(answer)), list(re.finditer(r"\w+", text))
    n = sum(want.values())
    if not 2 <= n <= 30:
        return None
    have, best, span = [m.group().lower() for m in at], least, None
    marks = [w in want for w in have]
    for i in range(len(have)):
        if not marks[i]:
            continue
        seen, hit = collections.Counter(), 0
        for j in range(i, min(len(have), i + n + 6)):
            if seen[have[j]] < want[have[j]]:
                hit += 1
            seen[have[j]] += 1
            f1 = 2 * hit / (n + j - i + 1)
            if marks[j] and f1 > best:
                best, span = f1, (at[i].start(), at[j].end())
    return span


def answer_spans(question, answers, text, allow_fuzzy):
    """One span per distinct answer: of several occurrences the one among most words of the question."""
    asked, spans = set(words(question)), []
    for answer in dict.fromkeys(a.strip() for a in answers if a.strip()):
        found = occurrences(answer, text)
        if not found and allow_fuzzy:
            found = [s for s in [fuzzy(answer, text)] if s]
        if found:
            near = [len(asked & set(words(text[max(0, a - 120):b + 120]))) for a, b in found]
            spans.append(found[int(np.argmax(near))])
    return sorted(set(spans))[:4]


def sentence_around(spans, answers, text):
    """Character span of the sentence that holds the answers, if the passage without it holds none of them; else None."""
    start = 0
    for s in common.sentences(text):
        start = text.index(s, start)
        if all(start <= a and b <= start + len(s) for a, b in spans):
            rest = text[:start] + "\n" + text[start + len(s):]
            if len(rest) > 120 and not any(occurrences(a, rest) for a in answers if a.strip()):
                return [start, start + len(s)]
        start += len(s)
    return None


class Pools:
    def __init__(self):
        self.passages, self.index, self.examples = [], {}, []

    def passage(self, text, lang, title, source, dev):
        key = (text, lang)
        if key not in self.index:
            self.index[key] = len(self.passages)
            self.passages.append({"text": text, "lang": lang, "title": title, "source": source, "dev": dev})
        return self.index[key]

    def add(self, r, source):
        dev, text = common.is_dev(r), r["context"]
        answers = r["answers"] if r["answerable"] else []
        spans = [] if source in NO_SPAN_SOURCES else answer_spans(r["question"], answers, text, r["kind"].startswith("abstractive"))
        self.examples.append({
            "source": source, "lang": r["lang"], "question": r["question"], "answers": answers, "answerable": r["answerable"], "dev": dev,
            "passage": self.passage(text, r["lang"], r.get("title") or "", source, dev), "spans": spans,
            "cut": sentence_around(spans, answers, text) if spans and not dev else None, "negatives": []})


    def save(self, folder):
        common.write_atomic(folder / "pools.json", json.dumps({"passages": self.passages, "examples": self.examples}, ensure_ascii=False))


def arguments(doc, seed):
    """What the scripts that make pools are told; the folder that they write is there."""
    ap = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--data", required=True, type=Path)
    ap.add_argument("--embedder", required=True, type=Path)
    ap.add_argument("--out", required=True, type=Path)
    ap.add_argument("--wordnet", type=Path)
    ap.add_argument("--seed", type=int, default=seed)
    args = ap.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    return args


def collect(data, rnd):
    pools, medquad = Pools(), []
    for r in common.read_folder(data / "qa"):
        source = r["source"].split(":")[0]
        if source in ("strategyqa", "qmsum", "quotesum"):  # reasoning over facts, or long summaries: no passage that answers
            continue
        if source == "medquad":
            if len(r["context"]) <= LONGEST:
                medquad.append(r)
            continue
        if source == "squad_dev" and r["answerable"] and not answer_spans("", r["answers"], r["context"], False):
            continue
        pools.add(r, source)
    for r in rnd.sample(medquad, 4000):
        pools.add(r, "medquad")
    for lang in ("en", "pt"):
        for r in common.read_jsonl(data / "pairs" / f"faq_headings_{lang}.jsonl.zst"):
            if len(r["passage"]) <= LONGEST:
                pools.add({**r, "context": r["passage"], "answers": [r["passage"]], "answerable": True, "kind": "pair"}, "faq")
    return pools


def mine(pools):
    """Negatives for the training questions: passages of many common words (tf-idf) without the answer."""
    for lang in ("en", "pt"):
        group = [i for i, p in enumerate(pools.passages) if not p["dev"] and p["lang"] == lang and p["source"] != "qamr" and len(p["text"]) <= LONGEST]
        asked = [e for e in pools.examples if not e["dev"] and e["lang"] == lang and e["source"] != "qamr"]  # its questions mean nothing elsewhere
        lower = [pools.passages[i]["text"].lower() for i in group]
        tfidf = TfidfVectorizer(sublinear_tf=True, strip_accents="unicode")
        table = tfidf.fit_transform(lower).T.tocsc()
        questions = tfidf.transform([e["question"] for e in asked])
        for at in range(0, len(asked), 512):
            scores = (questions[at:at + 512] @ table).toarray()
            nearest = np.argpartition(-scores, NEAR, axis=1)[:, :NEAR]
            for e, row, s in zip(asked[at:at + 512], nearest, scores):
                answers = [a.lower() for a in e["answers"]] if e["spans"] else []
                order = row[np.argsort(-s[row])]
                e["negatives"] = [group[k] for k in order if group[k] != e["passage"] and not any(a in lower[k] for a in answers)][:MINED]


def gloss(text, translate, share, rnd):
    """`text` with words replaced, and the map from its word boundaries to the new offsets."""
    out, length, starts, ends, last = [], 0, {}, {}, 0
    for m in re.finditer(r"\w+|[^\w\s]", text):
        found = translate(m.group())
        new = lexicon.draw(found, rnd) if found and rnd.random() < share else m.group()
        gap = text[last:m.start()]
        starts[m.start()] = length + len(gap)
        ends[m.end()] = length + len(gap) + len(new)
        out += [gap, new]
        length += len(gap) + len(new)
        last = m.end()
    return "".join(out), starts, ends


def add_glossed(pools, translate, rnd):
    copies = {}

    def copy(i):
        if i not in copies:
            p = pools.passages[i]
            text, starts, ends = gloss(p["text"], translate, rnd.choice([0.5, 0.8, 1.0]), rnd)
            copies[i] = (pools.passage(text, "pt*", p["title"], p["source"], False), starts, ends)
        return copies[i]

    for e in [e for e in pools.examples if e["source"] in GLOSSED and not e["dev"]]:
        g = {**e, "source": "glossed", "lang": "pt*", "origin": e["source"]}
        kind = rnd.choices(["both", "question", "passage"], [0.6, 0.25, 0.15])[0]
        if kind != "passage":
            g["question"] = gloss(e["question"], translate, 1.0, rnd)[0]
        if kind != "question":
            g["passage"], starts, ends = copy(e["passage"])
            g["spans"] = [(starts[a], ends[b]) for a, b in e["spans"] if a in starts and b in ends]
            cut = e["cut"]
            g["cut"] = [starts[cut[0]], ends[cut[1]]] if cut and cut[0] in starts and cut[1] in ends else None
            g["negatives"] = [copy(i)[0] for i in e["negatives"] if pools.passages[i]["source"] in GLOSSED]
            if e["spans"] and not g["spans"]:
                continue
        pools.examples.append(g)


def dictionary(args, texts):
    """English word -> Portuguese translations, learnt from the training side of the aligned text."""
    split = data_embedder.norm_words(args.embedder)
    pairs, _ = data_embedder.translations(args.data)
    heads = {h for r in common.read_folder(args.data / "text" / "pt") if not common.is_dev(r) for h in [data_embedder.bilingual_heading(r)] if h}
    bitext = [(split(p)[:80], split(e)[:80]) for e, p in pairs if len(p) < 500] + [(split(p), split(e)) for e, p in sorted(heads)]
    _, en_pt, _ = lexicon.model1(bitext)
    wn = {}
    if args.wordnet:
        counts = collections.Counter(w for t in texts for w in split(t))
        wn = lexicon.wordnet(args.wordnet / "wn-data-por.tab", args.wordnet, lambda s: " ".join(split(s)), counts)
    return lexicon.glosser(en_pt, wn)


def main():
    args = arguments(__doc__, seed=5)
    rnd = random.Random(args.seed)
    pools = collect(args.data, rnd)
    print(len(pools.passages), "passages,", len(pools.examples), "questions", flush=True)
    mine(pools)
    translate = dictionary(args, [p["text"] for p in pools.passages if p["lang"] == "en"])
    add_glossed(pools, translate, rnd)
    counts = collections.Counter((e["source"], e["lang"], "dev" if e["dev"] else "train", "span" if e["spans"] else "none") for e in pools.examples)
    for key, n in sorted(counts.items()):
        print(*key, n)
    pools.save(args.out)


if __name__ == "__main__":
    main()
