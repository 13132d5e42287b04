"""Measures a reader on held-out titles: spans, answerability, ranking of the embedder's candidates, calibration.

    python evaluate_reader.py --pools work/reader --model ../../deploy/models/reader --embedder ../../deploy/models/embedder \
        --data ../shared/data --json work/eval_reader.json

--model may also be a checkpoint.pt of train_reader.py.
"""
import argparse
import collections
import json
import string
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score
from tokenizers import Tokenizer

import common
from bert_model import SentenceEncoder, encode, load_state
from reader_model import LONGEST_QUESTION, Reader, best_span, collate, join

RANKED, CANDIDATE = 20, 2400  # candidates of a question; characters of the longest
WINDOW, OVERLAP = 384, 128  # tokens of a window, question included; of two neighbours' common part
ARTICLES = {"en": {"a", "an", "the"}, "pt": {"o", "a", "os", "as", "um", "uma", "uns", "umas"}}
SPAN_SETS = {"en": ("squad_dev", "nq_oracle (lost-in-the-middle)", "covid-qa", "qed", "fairytaleqa", "qamr", "pira"),
             "pt": ("faquad", "squad_v1.1_pt_sample", "pira")}
RANK_SETS = {"en": ("squad_dev", "nq_oracle (lost-in-the-middle)", "selqa", "covid-qa", "pira", "medquad"), "pt": ("faquad", "squad_v1.1_pt_sample", "pira")}


def normal(text, lang):
    """SQuAD's normalisation, with the articles of the language."""
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return [w for w in text.split() if w not in ARTICLES[lang]]


def exact_f1(guess, answers, lang):
    g, exact, f1 = normal(guess, lang), 0.0, 0.0
    for answer in answers:
        a = normal(answer, lang)
        same = sum((collections.Counter(g) & collections.Counter(a)).values())
        exact, f1 = max(exact, float(g == a)), max(f1, 2 * same / (len(g) + len(a)) if same else float(g == a))
    return exact, f1


def windows(question, passage):
    """Token ids -> [(first passage token, window's tokens)]."""
    room = WINDOW - min(len(question), LONGEST_QUESTION) - 3
    starts = range(0, max(1, len(passage) - OVERLAP), room - OVERLAP) if len(passage) > room else [0]
    return [(s, passage[s:s + room]) for s in starts]


@torch.no_grad()
def read(model, pairs, budget=4096):
    """pairs: [(question ids, passage ids)] -> [(relevance logit, span score against none, first, last)], the best of all windows."""
    rows = [(k, at, *join(q, part), len(part)) for k, (q, p) in enumerate(pairs) for at, part in windows(q, p)]
    rows.sort(key=lambda r: len(r[2]))
    out, i = [[-np.inf, -np.inf, 0, 0] for _ in pairs], 0
    was = model.training
    model.eval()
    while i < len(rows):
        j = i + 1
        while j < len(rows) and len(rows[j][2]) * (j - i + 1) <= budget:
            j += 1
        relevance, start, end = (x.numpy() for x in model(*collate([r[2:4] for r in rows[i:j]])))
        for n, (k, at, _, _, shift, size) in enumerate(rows[i:j]):
            o = out[k]
            o[0] = max(o[0], float(relevance[n]))
            score, first, last = best_span(start[n], end[n], shift, shift + size - 1)
            if score > o[1]:
                o[1:] = [score, first - shift + at, last - shift + at]
        i = j
    model.train(was)
    return [tuple(o) for o in out]


class Texts:
    """Tokens of passages and questions, computed once."""

    def __init__(self, pools, tokenizer):
        self.pools, self.tok, self.known = pools, tokenizer, {}

    def passage(self, i):
        if i not in self.known:
            t = self.tok.encode(self.pools["passages"][i]["text"], add_special_tokens=False)
            self.known[i] = (t.ids, t.offsets)
        return self.known[i]

    def question(self, e):
        return self.tok.encode(e["question"], add_special_tokens=False).ids

    def cut(self, i, first, last):
        offsets = self.passage(i)[1]
        return self.pools["passages"][i]["text"][offsets[first][0]:offsets[last][1]] if offsets else ""


def held_out(pools, source, lang, spans=None, most=None):
    found = [e for e in pools["examples"] if e["dev"] and e["source"] == source and e["lang"] == lang and (spans is None or bool(e["spans"]) == spans)]
    found.sort(key=lambda e: common.key_hash(e["question"]))
    return found[:most]


def span_scores(model, texts, examples, lang):
    found = read(model, [(texts.question(e), texts.passage(e["passage"])[0]) for e in examples])
    return found, [exact_f1(texts.cut(e["passage"], f[2], f[3]), e["answers"], lang) for e, f in zip(examples, found)]


def sample(pools, tokenizer):
    """A small probe for the training log."""
    return Texts(pools, tokenizer), {"en": held_out(pools, "squad_dev", "en", True, 120),
                                     "pt": held_out(pools, "faquad", "pt", True, 50) + held_out(pools, "squad_v1.1_pt_sample", "pt", True, 50),
                                     "none": held_out(pools, "squad_dev", "en", False, 80)}


def quick(model, probe):
    texts, sets = probe
    out, scores = {}, {}
    for name, examples in sets.items():
        found, marks = span_scores(model, texts, examples, "pt" if name == "pt" else "en")
        scores[name] = found
        if name != "none":
            out[f"dev_{name}_em"], out[f"dev_{name}_f1"] = (round(100 * float(np.mean(x)), 1) for x in zip(*marks))
    truth = [1] * len(scores["en"]) + [0] * len(scores["none"])
    for k, name in enumerate(("relevance", "span")):
        out[f"dev_auc_{name}"] = round(float(roc_auc_score(truth, [f[k] for s in ("en", "none") for f in scores[s]])), 3)
    return out


def operating_points(score, answerable, right):
    """Rows at which at least a share of the answers given are right: threshold, precision, coverage of the answerable, share of the others refused."""
    order = np.argsort(-score)
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    out = {}
    for want in (0.7, 0.8, 0.9):
        ok = np.nonzero(precision >= want)[0]
        if len(ok):
            n = ok[-1] + 1
            told = np.zeros(len(order), bool)
            told[order[:n]] = True
            out[str(want)] = {"threshold": float(score[order[n - 1]]), "precision": float(precision[n - 1]), "coverage": float(told[answerable].mean()),
                              "refused": float(1 - told[~answerable].mean()) if (~answerable).any() else None}
    return out


def calibration(scores, truth, bins=10):
    """A logistic map of (relevance, span score), fitted on every other pair; its expected calibration error on the others."""
    x = np.column_stack([scores, np.ones(len(scores))])
    loss = lambda w, part: np.mean(np.logaddexp(0, np.where(truth[part], -1, 1) * (x[part] @ w)))
    w = minimize(loss, [1.0, 0.0, 0.0], args=(slice(0, None, 2),)).x
    p, y = 1 / (1 + np.exp(-(x[1::2] @ w))), truth[1::2]
    which = np.minimum((p * bins).astype(int), bins - 1)
    table = [(int((which == k).sum()), float(p[which == k].mean()), float(y[which == k].mean())) for k in range(bins) if (which == k).any()]
    return {"relevance_weight": float(w[0]), "span_weight": float(w[1]), "bias": float(w[2]), "pairs": len(truth), "auc": float(roc_auc_score(y, p)),
            "ece": sum(n * abs(a - b) for n, a, b in table) / len(y), "bins": table}


def ndcg(ranks_of_relevant, total, depth=10):
    gain = sum(1 / np.log2(r + 2) for r in ranks_of_relevant if r < depth)
    return gain / max(1e-9, sum(1 / np.log2(i + 2) for i in range(min(total, depth))))


def blended(scores):
    """Order by the reader's probability and the candidate's place together."""
    place = np.arange(len(scores))
    return np.argsort(-(1 / (1 + np.exp(-np.asarray(scores))) + 1 / (3 + place)), kind="stable")


def add_candidates(pools, tokenizer, embedder, examples, lang, cache):
    """The embedder's first passages of each question, out of all held-out ones of the language; kept in the file `cache`."""
    known = json.loads(cache.read_text()) if cache and cache.exists() else {}
    if all(e["question"] in known for e in examples):
        for e in examples:
            e["candidates"] = known[e["question"]]
        return
    group = np.array([i for i, p in enumerate(pools["passages"]) if p["dev"] and p["lang"] == lang and p["source"] != "qamr" and len(p["text"]) <= CANDIDATE])
    vectors = encode(embedder, tokenizer, [pools["passages"][i]["text"] for i in group], 256)
    asked = encode(embedder, tokenizer, [e["question"] for e in examples], 64)
    for e, row in zip(examples, np.argsort(-(asked @ vectors.T), axis=1)[:, :RANKED]):
        e["candidates"] = known[e["question"]] = group[row].tolist()
    if cache:
        common.write_atomic(cache, json.dumps(known))


def rank(model, texts, examples):
    pairs = [(texts.question(e), texts.passage(i)[0]) for e in examples for i in e["candidates"]]
    found, at = read(model, pairs), 0
    rows, judged = [], []
    for e in examples:
        c, f = e["candidates"], found[at:at + len(e["candidates"])]
        at += len(c)
        s = [x[0] for x in f]
        gold = c.index(e["passage"]) if e["passage"] in c else None
        place = lambda order: [] if gold is None else [list(order).index(gold)]
        rows.append([ndcg(place(range(len(c))), 1), ndcg(place(np.argsort(-np.array(s), kind="stable")), 1), ndcg(place(blended(s)), 1)])
        # For the calibration: the gold passage, and the first two others that surely do not answer.
        text = lambda i: texts.pools["passages"][i]["text"].lower()
        wrong = [k for k, i in enumerate(c) if k != gold and e["spans"] and not any(a.lower() in text(i) for a in e["answers"])]
        judged += [(*f[k][:2], k == gold) for k in ([] if gold is None else [gold]) + wrong[:2]]
    return np.mean(rows, 0), judged


def product_docs(model, tokenizer, embedder, data, most):
    """BEIR-style set that no training script reads: the embedder's first 20 re-ranked."""
    root = data / "eval" / "rag_product_docs"
    corpus, queries = ([json.loads(x) for x in (root / f"{n}.jsonl").read_text().splitlines()] for n in ("corpus", "queries"))
    judged = collections.defaultdict(set)
    for line in (root / "qrels.tsv").read_text().splitlines():
        p = line.split("\t")
        if p[-1].isdigit() and int(p[-1]) > 0:
            judged[p[0]].add(p[-2])
    ids = [c["_id"] for c in corpus]
    texts = [f"{c.get('title') or ''} {c['text']}".strip() for c in corpus]
    vectors, asked = encode(embedder, tokenizer, texts, 256), [q for q in queries if judged[q["_id"]]][:most]
    first = np.argsort(-(encode(embedder, tokenizer, [q["text"] for q in asked], 64) @ vectors.T), axis=1)[:, :20]
    tokens = [t.ids for t in tokenizer.encode_batch(texts, add_special_tokens=False)]
    questions = [t.ids for t in tokenizer.encode_batch([q["text"] for q in asked], add_special_tokens=False)]
    scores = np.array([f[0] for f in read(model, [(questions[k], tokens[i]) for k in range(len(asked)) for i in first[k]])]).reshape(len(asked), -1)
    rows = []
    for q, c, s in zip(asked, first, scores):
        score = lambda order: ndcg([r for r, i in enumerate(order) if ids[c[i]] in judged[q["_id"]]], len(judged[q["_id"]]))
        rows.append([score(range(len(c))), score(np.argsort(-s, kind="stable")), score(blended(s))])
    return len(asked), np.mean(rows, 0)


def load(path, embedder):
    """An exported folder, or a checkpoint of the training."""
    if path.is_dir():
        return Reader(load_state(path)).eval()
    model = Reader(load_state(embedder))
    model.load_state_dict(torch.load(path)["model"])
    return model.eval()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--pools", required=True, type=Path)
    ap.add_argument("--model", required=True, type=Path)
    ap.add_argument("--embedder", required=True, type=Path)
    ap.add_argument("--data", required=True, type=Path)
    ap.add_argument("--json", required=True, type=Path)
    ap.add_argument("--most", type=int, default=400, help="questions of each set for spans")
    ap.add_argument("--ranked", type=int, default=100, help="questions of each set for ranking")
    ap.add_argument("--candidates", type=Path, help="file that keeps the embedder's candidates between runs")
    ap.add_argument("--threads", type=int, default=1)
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    tok = Tokenizer.from_file(str(args.embedder / "tokenizer.json"))
    pools, model = json.loads((args.pools / "pools.json").read_text()), load(args.model, args.embedder)
    texts, report = Texts(pools, tok), {"spans": {}, "ranking": {}}
    kept = {}
    for lang, names in SPAN_SETS.items():
        for name in names:
            examples = held_out(pools, name, lang, True, args.most)
            found, marks = span_scores(model, texts, examples, lang)
            kept[lang, name] = (found, marks)
            em, f1 = (100 * float(np.mean(x)) for x in zip(*marks))
            report["spans"][f"{lang} {name}"] = {"n": len(examples), "em": em, "f1": f1}
            print(lang, name, len(examples), f"EM {em:.1f} F1 {f1:.1f}", flush=True)
    for lang in SPAN_SETS:
        marks = [m for (l, _), (_, ms) in kept.items() if l == lang for m in ms]
        report["spans"][f"{lang} all"] = {"n": len(marks), "em": 100 * float(np.mean([m[0] for m in marks])), "f1": 100 * float(np.mean([m[1] for m in marks]))}

    # Answerability on SQuAD 2's adversarial questions: answered at a threshold, right when F1 is at least one half.
    found, marks = kept["en", "squad_dev"]
    none = read(model, [(texts.question(e), texts.passage(e["passage"])[0]) for e in held_out(pools, "squad_dev", "en", False, args.most // 3)])
    answerable = np.array([True] * len(found) + [False] * len(none))
    right = np.array([m[1] >= 0.5 for m in marks] + [False] * len(none))
    both = np.array([f[:2] for f in found + none])
    report["answerability"] = {"answerable": len(found), "unanswerable": len(none)}
    for name, score in (("relevance", both[:, 0]), ("span", both[:, 1]), ("together", both[:, 0] + both[:, 1] / 2)):
        report["answerability"][name] = {"auc": float(roc_auc_score(answerable, score)), "answer_right": operating_points(score, answerable, right)}
        print(name, json.dumps(report["answerability"][name]), flush=True)

    judged = [(*x, y) for x, y in zip(both.tolist(), answerable.tolist())]
    embedder = SentenceEncoder(load_state(args.embedder), dtype=torch.float32).eval()
    for lang, names in RANK_SETS.items():
        short = lambda e: len(pools["passages"][e["passage"]]["text"]) <= CANDIDATE
        sets = {n: [e for e in held_out(pools, n, lang) if e["answerable"] and short(e)][:args.ranked] for n in names}
        add_candidates(pools, tok, embedder, [e for s in sets.values() for e in s], lang, args.candidates)
        for name, examples in sets.items():
            scores, pairs = rank(model, texts, examples)
            judged += pairs
            report["ranking"][f"{lang} {name}"] = {"n": len(examples), **dict(zip(("embedder", "reader", "blended"), map(float, scores)))}
            print("nDCG@10", lang, name, len(examples), "embedder %.3f reader %.3f blended %.3f" % tuple(scores), flush=True)
    count, scores = product_docs(model, tok, embedder, args.data, args.ranked)
    report["ranking"]["en rag_product_docs"] = {"n": count, **dict(zip(("embedder", "reader", "blended"), map(float, scores)))}
    print("nDCG@10 rag_product_docs embedder %.3f reader %.3f blended %.3f" % tuple(scores))
    np.random.RandomState(0).shuffle(judged)
    report["calibration"] = calibration(np.array([j[:2] for j in judged]), np.array([j[2] for j in judged], bool))
    print("calibration", report["calibration"])
    common.write_json(args.json, report)


if __name__ == "__main__":
    main()
