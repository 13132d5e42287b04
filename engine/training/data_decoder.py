"""Builds the decoder's training pools and its dev questions.

    python data_decoder.py --data ../shared/data --tokenizer work/tokenizer --out work/decoder

Pools (npz: tokens uint16, offsets, answer position or -1): qa, cue, lm, evidence. Dev: dev_qa.json, dev_lm_{en,pt}.npz.
"""
import argparse
import collections
import json
import random
import re
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

import common
import prompt as P

QA_KEEP = {"qamr": 0.2, "fairytaleqa": 0.5, "squad_v1.1_pt_sample": 2.0, "faquad": 3.0, "pira": 2.0}
TEXT_CHARS = {"wikipedia_en_2015": 14e6, "eltec_novels_en": 0.5e6, "eltec_novels_pt": 0.4e6, "python_peps": 1.2e6,
              "swift_evolution": 0.8e6, "world_factbook": 0.5e6, "python_docs_en": 1e6, "ms_dotnet_pt": 4e6,
              "ms_dynamics365_pt": 8e6, "mdn_pt_br": 4e6, "python_docs_pt": 2.5e6}

CUES = {
    "en": {"any": ["what {}", "how {}", "why {}", "which {}", "what is {}", "explain {}", "{}", "{}", "tell me about {}",
                   "what about {}", "how does {}", "what does {} do", "is {}", "where {}", "what can {}"],
           "when": ["when {}", "what year {}", "in which year {}"], "num": ["how many {}", "how much {}", "what number {}"],
           "who": ["who {}", "which person or group {}", "who is {}", "what {}"]},
    "pt": {"any": ["o que {}", "como {}", "por que {}", "qual {}", "o que é {}", "explique {}", "{}", "{}", "fale sobre {}",
                   "quais {}", "como funciona {}", "para que serve {}", "onde {}", "o que pode {}"],
           "when": ["quando {}", "em que ano {}", "qual o ano {}"], "num": ["quantos {}", "quantas {}", "quanto {}", "qual o número {}"],
           "who": ["quem {}", "que pessoa ou grupo {}", "quem é {}", "qual {}"]}}


class Pool:
    def __init__(self):
        self.tokens, self.offsets, self.answer = [], [0], []

    def add(self, ids, answer=-1):
        self.tokens.append(np.asarray(ids, np.uint16))
        self.offsets.append(self.offsets[-1] + len(ids))
        self.answer.append(answer)

    def save(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, tokens=np.concatenate(self.tokens), offsets=np.asarray(self.offsets, np.int64),
                 answer=np.asarray(self.answer, np.int32))
        print(path.name, len(self.answer), "examples,", self.offsets[-1], "tokens", flush=True)


def load_text(data):
    """A sample of the documents: {lang: [[section, ...], ...]} without the dev titles."""
    docs, dev = {"en": [], "pt": []}, {"en": [], "pt": []}
    for lang in ("en", "pt"):
        for path in sorted((data / "text" / lang).glob("*.jsonl.zst")):
            by_doc = collections.OrderedDict()
            for r in common.read_jsonl(path):
                by_doc.setdefault(r["doc"], []).append(r)
            groups = list(by_doc.values())
            random.Random(path.name).shuffle(groups)
            budget = TEXT_CHARS.get(path.name.split(".")[0], 1e6)
            dev_budget = 150_000
            for g in groups:
                n = sum(len(s["text"]) for s in g)
                if common.is_dev(g[0]):
                    if dev_budget > 0 and "novels" not in path.name:
                        dev[lang].append(g)
                        dev_budget -= n
                elif budget > 0:
                    docs[lang].append(g)
                    budget -= n
    return docs, dev


def load_qa(data):
    train, dev = [], []
    for r in common.read_folder(data / "qa"):
        if r["kind"] in ("pair", "yesno", "abstractive-multi") or r["source"] in ("qmsum", "pubmedqa"):
            continue
        sent = P.gold_sentence(r) if r["answerable"] else None
        if r["answerable"] and (sent is None or not 15 <= len(sent) <= 600):
            continue
        r["gold"] = sent
        (dev if common.is_dev(r) else train).append(r)
    return train, dev


class Distractors:
    """Other contexts, of the same title (hard) or any title of the same language."""

    def __init__(self, records):
        self.title, self.lang = collections.defaultdict(list), collections.defaultdict(list)
        seen = set()
        for r in records:
            if r["context"] in seen or r["source"] == "qamr" and len(r["context"]) < 80:
                continue
            seen.add(r["context"])
            self.lang[r["lang"]].append(r["context"])
            if r.get("title"):
                self.title[common.split_key(r)].append(r["context"])

    def pick(self, r, n, rnd, hard=0.5):
        out, bad = [], [a.lower() for a in r["answers"] if len(a) > 2]
        for _ in range(20 * n):
            if len(out) == n:
                break
            pool = self.title.get(common.split_key(r), []) if rnd.random() < hard else []
            c = rnd.choice(pool if len(pool) > 1 else self.lang[r["lang"]])
            if c != r["context"] and c not in out and not any(a in c.lower() for a in bad):
                out.append(c)
        return out


def build_qa(train, enc, rnd):
    pool, distract = Pool(), Distractors(train)
    todo = []
    for r in train:
        keep = QA_KEEP.get(r["source"], 1.0)
        todo += [r] * (int(keep) + (rnd.random() < keep % 1))
    rnd.shuffle(todo)
    for r in todo:
        budget = rnd.choices([500, 900, 1500, 2600, 4500], [25, 30, 25, 15, 5])[0]
        none = r["gold"] is None
        drop = not none and rnd.random() < 0.14
        own = P.window(r["context"], r["gold"] or "", max(250, int(budget * rnd.uniform(0.4, 1.0))), rnd)
        passages, used = ([] if drop else [own]), 0 if drop else len(own)
        for c in distract.pick(r, rnd.choice([0, 1, 2, 3, 5]) + (1 if drop else 0), rnd):
            c = P.window(c, "", rnd.choice([200, 350, 600]), rnd)
            if used + len(c) < budget or not passages:
                passages.append(c)
                used += len(c)
        rnd.shuffle(passages)
        gold = None if none or drop else r["gold"]
        if gold is not None and gold not in own:
            continue
        ids = enc.prompt(passages, r["question"] if rnd.random() > 0.1 else r["question"].lower().rstrip("?"))
        at = len(ids) - 1
        ids += enc.answer(gold, passages.index(own) + 1 if gold else 0)
        if len(ids) <= 1536:
            pool.add(ids, at)
    return pool


def make_cue(target, others, section, lang, rnd):
    """A question-like cue for `target` that fits it better than any of `others`; None if that fails."""
    raw = re.findall(r"[\w'-]+", target)
    kind = "any"
    year = re.search(r"\b1[0-9]{3}\b|\b20[0-2][0-9]\b", target)
    number = re.search(r"\b\d[\d.,]*\b", target)
    name = re.search(r"(?<!^)(?<![.!?] )\b[A-ZÀ-Þ][\w-]+(?: [A-ZÀ-Þ][\w-]+)*", target)
    hidden = ""
    roll = rnd.random()
    if year and roll < 0.6:
        kind, hidden = "when", year.group()
    elif number and roll < 0.4:
        kind, hidden = "num", number.group()
    elif name and roll < 0.3:
        kind, hidden = "who", name.group()
    hidden = set(hidden.lower().split())
    cand = [w for w in raw if len(w) > 2 and w.lower() not in P.STOP and w.lower() not in hidden]
    if len(cand) < 3:
        return None
    k = min(len(cand), rnd.choice([2, 3, 3, 4, 4, 5, 6, 8]))
    at = sorted(rnd.sample(range(len(cand)), k))
    pick = [cand[i] for i in at]
    if rnd.random() < 0.3:
        rnd.shuffle(pick)
    if section["headings"] and rnd.random() < 0.25:
        extra = [w for w in re.findall(r"\w+", section["headings"][-1]) if w.lower() not in P.STOP][:3]
        pick = pick + extra if rnd.random() < 0.5 else extra + pick
    stems = {P.stem(w.lower()) for w in pick}
    mine = len(stems & set(P.content(target)))
    if any(len(stems & o) >= mine for o in others):
        return None
    if rnd.random() < 0.4:  # keep some function words between the content words: closer to a real question
        keep, s = {w.lower() for w in pick}, []
        for w in raw:
            if w.lower() in keep or (s and w.lower() in P.STOP and rnd.random() < 0.6):
                s.append(w)
        pick = s
    text = " ".join(w[:-1] if w.endswith("s") and len(w) > 4 and rnd.random() < 0.1 else w for w in pick)
    text = rnd.choice(CUES[lang][kind]).format(text)
    if rnd.random() < 0.4:
        text = text.lower()
    if rnd.random() < 0.6:
        text = text[0].upper() + text[1:]
    return text + ("?" if rnd.random() < 0.6 else "")


def build_cue(docs, faq, enc, rnd, n):
    pool = Pool()
    heavy = {lang: [d for d in docs[lang] if "novels" not in d[0]["source"]] for lang in docs}
    tries = 0
    while len(pool.answer) < n and tries < 6 * n:
        tries += 1
        lang = "en" if rnd.random() < 0.52 else "pt"
        doc = rnd.choice(heavy[lang])
        sections = rnd.sample(doc, min(len(doc), rnd.choice([1, 2, 3, 4])))
        if rnd.random() < 0.4:
            sections += [rnd.choice(rnd.choice(heavy[lang])) for _ in range(rnd.choice([1, 2]))]
        budget = rnd.choices([450, 800, 1400, 2600], [35, 35, 22, 8])[0]
        passages, owners, used = [], [], 0
        for s in sections:
            p = P.window(s["text"], "", rnd.choice([250, 400, 700]), rnd)
            if 60 < len(p) < 1200 and used + len(p) <= budget:
                passages.append(p)
                owners.append(s)
                used += len(p)
        if not passages:
            continue
        order = list(range(len(passages)))
        rnd.shuffle(order)
        passages, owners = [passages[i] for i in order], [owners[i] for i in order]
        i = rnd.randrange(len(passages))
        mine = common.sentences(passages[i])
        target = rnd.choice(mine)
        if not 30 <= len(target) <= 350 or sum(c.isalpha() or c == " " for c in target) < 0.75 * len(target):
            continue
        rest = [set(P.content(s)) for p in passages for s in common.sentences(p) if s != target]
        cue = make_cue(target, rest, owners[i], lang, rnd)
        if cue is None:
            continue
        gold, index = target, i + 1
        if len(passages) > 1 and rnd.random() < 0.15:  # the passage that holds it goes away
            del passages[i]
            if target in " ".join(passages):
                continue
            gold = None
        if rnd.random() < 0.25 and gold:  # headings may precede the text of a chunk
            passages = [(" > ".join([o["title"]] + o["headings"]) + "\n" + p) for o, p in zip(owners, passages)]
        ids = enc.prompt(passages, cue)
        at = len(ids) - 1
        pool.add(ids + enc.answer(gold, index), at)
    for r in faq:  # a question heading is answered by the first sentence of its section
        first = [s for s in common.sentences(r["passage"])[:2] if 25 <= len(s) <= 350]
        if not first:
            continue
        own = P.window(r["passage"][r["passage"].find(first[0]):], first[0], 700, rnd)
        other = [P.window(rnd.choice(faq_by)["passage"], "", 400, rnd)
                 for faq_by in [[x for x in faq if x["lang"] == r["lang"]]] for _ in range(rnd.choice([0, 1, 2]))]
        passages = other + [own]
        rnd.shuffle(passages)
        if first[0] not in own:
            continue
        ids = enc.prompt(passages, r["question"])
        at = len(ids) - 1
        pool.add(ids + enc.answer(first[0], passages.index(own) + 1), at)
    return pool


def ranked_sentences(question, gold, others, rnd):
    """Some of `others`, and `gold` unless it is None, as a reader would rank them: those that share words with the question
    first, the gold one mostly before them."""
    words = set(P.content(question))
    others = [s for s in dict.fromkeys(others) if s != gold and 20 <= len(s) <= 400]
    rnd.shuffle(others)
    overlap = {s: len(words & set(P.content(s))) + rnd.random() for s in others}
    if rnd.random() < 0.7:
        others.sort(key=overlap.get, reverse=True)
    ranked = others[:rnd.choice([0, 1, 2, 3, 3])]
    if gold is not None:
        at = 0 if rnd.random() < 0.55 else rnd.randrange(len(ranked) + 1)
        ranked.insert(at, gold)
    return ranked


class Evidence:
    """Prompts whose passages are single sentences, as Lastro shows them to this decoder."""

    def __init__(self, enc, rnd):
        self.enc, self.rnd, self.pool = enc, rnd, Pool()

    def add(self, question, gold, others):
        rnd = self.rnd
        if gold is not None and rnd.random() < 0.08:
            others, gold = [s for s in others if s != gold], None
        passages = ranked_sentences(question, gold, others, rnd)
        if not passages:
            return
        ids = self.enc.prompt(passages, question if rnd.random() > 0.1 else question.lower().rstrip("?"))
        at = len(ids) - 1
        self.pool.add(ids + self.enc.answer(gold, passages.index(gold) + 1 if gold else 0), at)


def build_evidence(train, docs, enc, rnd, cues):
    evidence, distract = Evidence(enc, rnd), Distractors(train)
    for r in train:
        for _ in range(max(1, round(QA_KEEP.get(r["source"], 1.0)))):
            others = common.sentences(r["context"])
            for context in distract.pick(r, 1, rnd):
                others += rnd.sample(common.sentences(context), 1)
            evidence.add(r["question"], r["gold"], others)
    heavy = {lang: [d for d in docs[lang] if "novels" not in d[0]["source"]] for lang in docs}
    for _ in range(cues):
        lang = "en" if rnd.random() < 0.4 else "pt"
        section = rnd.choice(rnd.choice(heavy[lang]))
        sentences = common.sentences(section["text"])[:60]
        target = rnd.choice(sentences) if sentences else ""
        if not 30 <= len(target) <= 350 or sum(c.isalpha() or c == " " for c in target) < 0.75 * len(target):
            continue
        others = [s for s in sentences if s != target]
        cue = make_cue(target, [set(P.content(s)) for s in others], section, lang, rnd)
        if cue is not None:
            evidence.add(cue, target, others)
    return evidence.pool


def build_lm(docs, enc, rnd, tokens, length=512):
    pool = Pool()
    for lang, share in (("en", 0.5), ("pt", 0.5)):
        left, order = tokens * share, docs[lang][:]
        rnd.shuffle(order)
        for d in order:
            text = "\n\n".join(s["text"] for s in d[:6])[:8000]
            ids = [enc.id["bos"]] + enc.text(text)
            for i in range(0, min(len(ids), 3 * length), length):
                piece = ids[i:i + length]
                if len(piece) >= 96:
                    pool.add(piece)
                    left -= len(piece)
            if left <= 0:
                break
    return pool


def build_dev(dev, enc, rnd):
    """Questions of held-out titles with gold + 4 distractor passages (2 of the same title where there are any)."""
    out, distract = [], Distractors(dev)
    by = collections.defaultdict(list)
    for r in dev:
        by[r["source"], r["lang"], r["answerable"]].append(r)
    for (source, lang, answerable), rs in sorted(by.items()):
        if source in ("fairytaleqa", "qamr"):
            continue
        rnd.shuffle(rs)
        for r in rs[:150 if answerable else 120]:
            if len(r["context"]) > 2500:
                continue
            out.append({"source": source, "lang": lang, "question": r["question"], "gold": r["gold"],
                        "context": r["context"], "distractors": distract.pick(r, 4, rnd)})
    return out


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--data", required=True, type=Path)
    ap.add_argument("--tokenizer", required=True, type=Path)
    ap.add_argument("--out", required=True, type=Path)
    ap.add_argument("--cues", type=int, default=36000, help="tried for each of the pools that have them")
    ap.add_argument("--lm-tokens", type=float, default=3.5e6)
    ap.add_argument("--seed", type=int, default=17)
    args = ap.parse_args()
    enc = P.Encoder(Tokenizer.from_file(str(args.tokenizer / "tokenizer.json")))
    train, dev = load_qa(args.data)
    print("qa:", collections.Counter((r["source"], r["answerable"]) for r in train), flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    dev_qa = build_dev(dev, enc, random.Random(args.seed))
    (args.out / "dev_qa.json").write_text(json.dumps(dev_qa, ensure_ascii=False))
    print("dev:", collections.Counter((r["source"], r["lang"], r["gold"] is not None) for r in dev_qa), flush=True)
    docs, dev_docs = load_text(args.data)
    print("documents", {k: len(v) for k, v in docs.items()}, {k: len(v) for k, v in dev_docs.items()}, flush=True)
    for lang in ("en", "pt"):
        build_lm({"en": [], "pt": [], lang: dev_docs[lang]}, enc, random.Random(args.seed), 1e5).save(args.out / f"dev_lm_{lang}.npz")
    build_lm(docs, enc, random.Random(args.seed + 1), args.lm_tokens).save(args.out / "lm.npz")
    faq = [r for f in ("faq_headings_en", "faq_headings_pt") for r in common.read_jsonl(args.data / "pairs" / f"{f}.jsonl.zst")
           if not common.is_dev(r)]
    build_cue(docs, faq, enc, random.Random(args.seed + 2), args.cues).save(args.out / "cue.npz")
    build_qa(train, enc, random.Random(args.seed + 3)).save(args.out / "qa.npz")
    build_evidence(train, docs, enc, random.Random(args.seed + 4), 2 * args.cues).save(args.out / "evidence.npz")


if __name__ == "__main__":
    main()
