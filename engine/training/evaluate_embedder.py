"""Retrieval and bitext quality of an embedder on held-out titles and on rag_product_docs (evaluation only).

    python evaluate_embedder.py --data ../shared/data --sets work/embedder --model ../../deploy/models/embedder --json work/eval_student.json
    python evaluate_embedder.py ... --model teacher --json work/eval_teacher.json
"""
import argparse
import collections
import json
import random
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

import common
from bert_model import SentenceEncoder, encode, load_state, teacher_folder

SETS = {"en": ["squad_dev", "nq_oracle (lost-in-the-middle)", "selqa", "covid-qa", "pira", "medquad"],
        "pt": ["faquad", "squad_v1.1_pt_sample", "pira"]}


def ranks(q, p, gold):
    s = q @ p.T
    return np.array([(s[i] > s[i, g]).sum() + 1 for i, g in enumerate(gold)])


def metrics(r):
    return {"n": len(r), "mrr10": round(float(np.mean(np.where(r <= 10, 1 / r, 0))), 4), "recall5": round(float(np.mean(r <= 5)), 4)}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--data", required=True, type=Path)
    ap.add_argument("--sets", required=True, type=Path)
    ap.add_argument("--model", required=True)
    ap.add_argument("--json", required=True, type=Path)
    ap.add_argument("--threads", type=int, default=1)
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    folder = teacher_folder() if args.model == "teacher" else Path(args.model)
    tok = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tok.no_padding()
    tok.no_truncation()
    model = SentenceEncoder(load_state(folder)).eval()
    enc = lambda texts: encode(model, tok, texts, 256)
    out = {"model": args.model if args.model == "teacher" else folder.name}
    cross = {}
    for lang, sources in SETS.items():
        by, corpus = collections.defaultdict(list), {}
        for r in common.read_folder(args.data / "qa"):
            s = r["source"].split(":")[0]
            if r["lang"] == lang and s in sources and r["answerable"] and common.is_dev(r):
                by[s].append(r)
        picked = []
        for s in sources:
            random.Random(9).shuffle(by[s])
            for r in by[s]:
                corpus.setdefault(r["context"], len(corpus))  # every dev passage is in the corpus
            picked += by[s][:250]
        p = enc(list(corpus))
        q = enc([r["question"] for r in picked])
        rk = ranks(q, p, [corpus[r["context"]] for r in picked])
        res = {"passages": len(corpus)}
        for s in sources:
            res[s.split(" (")[0]] = metrics(rk[[i for i, r in enumerate(picked) if r["source"].split(":")[0] == s]])
        res["mean"] = {k: round(float(np.mean([res[s.split(" (")[0]][k] for s in sources])), 4) for k in ("mrr10", "recall5")}
        out[f"retrieval_{lang}"] = res
        cross[lang] = {r["id"]: (q[i], corpus[r["context"]]) for i, r in enumerate(picked) if r["source"] == "pira" and not r.get("paraphrase")}, p
    for a, b in (("pt", "en"), ("en", "pt")):  # Pira has the same questions and passages in both languages
        ids = [i for i in cross[a][0] if i in cross[b][0]]
        rk = ranks(np.stack([cross[a][0][i][0] for i in ids]), cross[b][1], [cross[b][0][i][1] for i in ids])
        out[f"pira_question_{a}_passage_{b}"] = metrics(rk)
    pairs = [p for p in json.loads((args.sets / "sets.json").read_text())["dev_bi"]]
    e, t = enc([x for x, _ in pairs]), enc([x for _, x in pairs])
    want = np.arange(len(pairs))
    s = e @ t.T
    out["bitext"] = {"n": len(pairs), "en_to_pt": round(float((s.argmax(1) == want).mean()), 4), "pt_to_en": round(float((s.argmax(0) == want).mean()), 4),
                     "cosine": round(float(s.diagonal().mean()), 4)}
    folder = args.data / "eval" / "rag_product_docs"
    docs = [json.loads(x) for x in open(folder / "corpus.jsonl", encoding="utf-8")]
    queries = {x["_id"]: x["text"] for x in map(json.loads, open(folder / "queries.jsonl", encoding="utf-8"))}
    rel = collections.defaultdict(dict)
    for line in list(open(folder / "qrels.tsv"))[1:]:
        q, d, n = line.split()
        rel[q][d] = int(n)
    p, ids = enc([d["title"] + "\n" + d["text"] for d in docs]), [d["_id"] for d in docs]
    q = enc([queries[i] for i in rel])
    ndcg, recall = [], []
    for i, name in enumerate(rel):
        top = [ids[j] for j in np.argsort(-(p @ q[i]))[:10]]
        dcg = sum(rel[name].get(d, 0) / np.log2(k + 2) for k, d in enumerate(top))
        ndcg.append(dcg / sum(v / np.log2(k + 2) for k, v in enumerate(sorted(rel[name].values(), reverse=True)[:10])))
        recall.append(len(set(top) & set(rel[name])) / len(rel[name]))
    out["rag_product_docs"] = {"n": len(rel), "ndcg10": round(float(np.mean(ndcg)), 4), "recall10": round(float(np.mean(recall)), 4)}
    common.write_json(args.json, out)
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
