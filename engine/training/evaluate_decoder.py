"""Quoting quality of the decoder on held-out titles: which sentence of gold + 4 distractor passages ranks first.

    python evaluate_decoder.py --pools work/decoder --decoder ../../deploy/models/decoder --embedder ../../deploy/models/embedder \
        --json work/eval_decoder.json

Half of the questions (by hash) fit the weights and thresholds, the other half is reported.
"""
import argparse
import collections
import hashlib
import itertools
import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from tokenizers import Tokenizer

import common
import prompt as P
from bert_model import SentenceEncoder, encode, load_state
from decoder_model import Config, Decoder


def load_decoder(folder):
    j = json.loads((folder / "config.json").read_text())
    c = Config(j["vocab_size"], j["hidden_size"], j["num_hidden_layers"], j["num_attention_heads"], j["num_key_value_heads"], j["head_dim"],
               j["intermediate_size"], j["rope_theta"], j["rms_norm_eps"], j["max_position_embeddings"])
    m, s = Decoder(c), {k: v.float() for k, v in load_file(str(folder / "model.safetensors")).items()}
    with torch.no_grad():
        m.embed.copy_(s["model.embed_tokens.weight"])
        m.norm.copy_(s["model.norm.weight"])
        for i, l in enumerate(m.layers):
            p = f"model.layers.{i}."
            l.norm1.copy_(s[p + "input_layernorm.weight"])
            l.norm2.copy_(s[p + "post_attention_layernorm.weight"])
            l.qkv.copy_(torch.cat([s[p + f"self_attn.{x}_proj.weight"] for x in "qkv"]))
            l.out.copy_(s[p + "self_attn.o_proj.weight"])
            l.up.copy_(torch.cat([s[p + f"mlp.{x}_proj.weight"] for x in ("gate", "up")]))
            l.down.copy_(s[p + "mlp.down_proj.weight"])
    return m.eval()


@torch.no_grad()
def answer_scores(model, w, enc, passages, question, sentences):
    """Per sentence: sum of log p, of the first 4 tokens, count of tokens; and log p(none). The prompt runs once."""
    pre = enc.prompt(passages, question)
    hidden, cache = model.extend(torch.tensor([pre]), w=w)
    first = torch.log_softmax(torch.nn.functional.linear(hidden[0, -1], w["embed"]).float(), -1)
    rows = [enc.text(" " + s) for _, s in sentences]
    total, head, count = np.zeros(len(rows)), np.zeros(len(rows)), np.array([len(r) for r in rows])
    order = np.argsort(count)
    for part in np.array_split(order, max(1, len(order) // 12)):
        ids = torch.full((len(part), int(count[part].max())), enc.id["pad"])
        for b, i in enumerate(part):
            ids[b, :count[i]] = torch.tensor(rows[i])
        mask = torch.arange(ids.shape[1])[None] < torch.tensor(count[part])[:, None]
        h, _ = model.extend(ids, cache, w)
        at = mask[:, 1:]
        lp = torch.zeros(ids.shape)
        lp[:, 0] = first[ids[:, 0]]
        logits = torch.nn.functional.linear(h[:, :-1][at], w["embed"]).float()
        lp[:, 1:][at] = torch.log_softmax(logits, -1).gather(1, ids[:, 1:][at][:, None])[:, 0]
        total[part], head[part] = lp.sum(1).numpy(), lp[:, :4].sum(1).numpy()
    return total, head, count, first[enc.id["none"]].item()


def lexical(question, sentences, weights):
    q = set(P.content(question))
    z = sum(weights.get(w, weights[None]) for w in q) or 1.0
    return np.array([sum(weights.get(w, weights[None]) for w in q & set(P.content(s))) / z for s in sentences])


def features(model, w, enc, sent_model, sent_tok, rec):
    passages = ([rec["context"]] if rec["use_gold"] else []) + rec["distractors"]
    order = np.random.RandomState(len(rec["question"])).permutation(len(passages))
    passages = [passages[i] for i in order]
    cand, seen = [], set()
    for i, p in enumerate(passages, 1):
        for s in common.sentences(p):
            if len(s) >= 15 and s not in seen:
                seen.add(s)
                cand.append((i, s))
    if not cand or len(enc.prompt(passages, rec["question"])) > 1800:
        return None
    texts = [s for _, s in cand]
    if model is None:
        total = head = total0 = head0 = np.zeros(len(cand))
        count, none, none0 = np.ones(len(cand)), 0.0, 0.0
    else:
        total, head, count, none = answer_scores(model, w, enc, passages, rec["question"], cand)
        total0, head0, _, none0 = answer_scores(model, w, enc, passages, None, cand)
    df = collections.Counter(w for s in texts for w in set(P.content(s)))
    idf = {w: math.log(1 + len(texts) / n) for w, n in df.items()}
    idf[None] = math.log(1 + len(texts) / 0.5)
    v = encode(sent_model, sent_tok, [rec["question"]] + texts + passages, 256)
    cos, pcos = v[1:1 + len(texts)] @ v[0], v[1 + len(texts):] @ v[0]
    gold = [t == rec["gold"] or rec["gold"] in t for t in texts] if rec["use_gold"] and rec["gold"] else [False] * len(texts)
    return {"logp_mean": total / count, "logp_sum": total, "logp_head": head, "pmi_mean": (total - total0) / count, "pmi_sum": total - total0,
            "pmi_head": head - head0, "cos": cos, "passage_cos": np.array([pcos[i - 1] for i, _ in cand]),
            "lex": lexical(rec["question"], texts, idf), "none": none, "none_gain": none - none0, "gold": np.array(gold),
            "source": rec["source"], "lang": rec["lang"], "answerable": bool(rec["use_gold"] and rec["gold"]),
            "fit": hashlib.sha256(rec["question"].encode()).digest()[0] % 2 == 0}


def top1(items, score):
    return float(np.mean([f["gold"][int(np.argmax(score(f)))] for f in items]))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--pools", required=True, type=Path)
    ap.add_argument("--decoder", required=True, type=Path)
    ap.add_argument("--embedder", required=True, type=Path)
    ap.add_argument("--json", required=True, type=Path)
    ap.add_argument("--limit", type=int, default=0)
    ap.add_argument("--skip-decoder", action="store_true", help="fit and measure without the decoder's scores: minutes instead of an hour")
    ap.add_argument("--threads", type=int, default=1)
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    enc = P.Encoder(Tokenizer.from_file(str(args.decoder / "tokenizer.json")))
    model = load_decoder(args.decoder)
    w = model.cast()
    sent_tok = Tokenizer.from_file(str(args.embedder / "tokenizer.json"))
    sent_tok.no_padding()
    sent_tok.no_truncation()
    sent_model = SentenceEncoder(load_state(args.embedder)).eval()
    out = {"perplexity": {}}
    for lang in () if args.skip_decoder else ("en", "pt"):
        z = np.load(args.pools / f"dev_lm_{lang}.npz")
        total, n, text = 0.0, 0, 0
        for i in range(min(60, len(z["answer"]))):
            seq = z["tokens"][z["offsets"][i]:z["offsets"][i + 1]].astype(np.int64)
            total -= model.logprobs(torch.from_numpy(seq)[None]).sum().item()
            n += len(seq) - 1
            text += len(enc.tok.decode(seq.tolist()).encode())
        out["perplexity"][lang] = {"per_token": round(math.exp(total / n), 2), "bits_per_byte": round(total / math.log(2) / text, 3), "tokens": n}
    dev = json.loads((args.pools / "dev_qa.json").read_text())
    np.random.RandomState(2).shuffle(dev)
    if args.limit:
        dev = dev[:args.limit]
    items = []
    for k, r in enumerate(dev):
        # The passage of a question without an answer is present too: the hard kind. Every fifth answerable question
        # is asked a second time without its passage: the easy kind.
        for use_gold in ([True, False] if r["gold"] and k % 5 == 0 else [True]):
            f = features(None if args.skip_decoder else model, w, enc, sent_model, sent_tok, {**r, "use_gold": use_gold})
            if f is not None and (not f["answerable"] or f["gold"].any()):
                f["kind"] = "answerable" if f["answerable"] else "absent" if not use_gold else "adversarial"
                items.append(f)
    fit = [f for f in items if f["fit"] and f["answerable"]]
    test = [f for f in items if not f["fit"] and f["answerable"]]
    names = ["logp_mean", "logp_sum", "logp_head", "pmi_mean", "pmi_sum", "pmi_head", "cos", "passage_cos", "lex"]
    out["questions"] = {"fit": len(fit), "test": len(test), "sentences_per_question": round(float(np.mean([len(f["cos"]) for f in test])), 1),
                        "chance_top1": round(float(np.mean([f["gold"].mean() for f in test])), 4)}
    out["top1"] = {n: round(top1(test, lambda f: f[n]), 4) for n in names}
    # Convex combination of fixed, bounded terms. The decoder's term is a softmax over the candidates: no statistics to carry along.
    def soft(x, t):
        e = np.exp((x - x.max()) / t)
        return e / e.sum()
    best = (-1.0,)
    for dec in ("pmi_sum", "pmi_mean", "pmi_head", "logp_sum", "logp_mean", "logp_head")[:1 if args.skip_decoder else 6]:
        for temp in (0.3, 1.0, 3.0, 10.0)[:1 if args.skip_decoder else 4]:
            d = [soft(f[dec], temp) for f in fit]
            for wd, wl, wp in itertools.product((0,) if args.skip_decoder else np.arange(0, 0.65, 0.05), np.arange(0, 0.85, 0.05), (0, 0.1, 0.2, 0.3)):
                if wd + wl + wp < 1.001:
                    wc = 1 - wd - wl - wp
                    acc = np.mean([f["gold"][np.argmax(wd * x + wc * f["cos"] + wl * f["lex"] + wp * f["passage_cos"])] for f, x in zip(fit, d)])
                    if acc > best[0] + 1e-9:
                        best = (acc, dec, temp, float(wd), float(wc), float(wl), float(wp))
    acc, dec, temp, wd, wc, wl, wp = best
    combined = lambda f: wd * soft(f[dec], temp) + wc * f["cos"] + wl * f["lex"] + wp * f["passage_cos"]
    out["weights"] = {"decoder_score": dec, "temperature": temp, "decoder": round(wd, 3), "embedder": round(wc, 3), "lexical": round(wl, 3),
                      "passage": round(wp, 3), "fit_top1": round(float(acc), 4)}
    out["top1"]["combination"] = round(top1(test, combined), 4)
    nodec = (-1.0,)
    for wl2, wp2 in itertools.product(np.arange(0, 0.75, 0.05), (0, 0.1, 0.2, 0.3)):
        a = top1(fit, lambda f: (1 - wl2 - wp2) * f["cos"] + wl2 * f["lex"] + wp2 * f["passage_cos"])
        nodec = max(nodec, (a, float(wl2), float(wp2)))
    out["top1"]["combination_without_decoder"] = round(top1(test, lambda f: (1 - nodec[1] - nodec[2]) * f["cos"] + nodec[1] * f["lex"] + nodec[2] * f["passage_cos"]), 4)
    out["weights_without_decoder"] = {"embedder": round(1 - nodec[1] - nodec[2], 3), "lexical": round(nodec[1], 3), "passage": nodec[2]}
    groups = collections.defaultdict(list)
    for f in test:
        groups[f["lang"]].append(f)
        groups[f["source"].split(" (")[0] + "_" + f["lang"]].append(f)
    for g, fs in sorted(groups.items()):
        out[f"top1_{g}"] = {"n": len(fs), **{n: round(top1(fs, lambda f: f[n]), 3) for n in ("logp_mean", dec, "cos", "lex")}, "combination": round(top1(fs, combined), 3)}
    # Answerability
    sig = {"p_none": lambda f: -f["none"], "p_none_gain": lambda f: -f["none_gain"], "best_cos": lambda f: f["cos"].max(), "best_passage_cos": lambda f: f["passage_cos"].max(),
           "best_lex": lambda f: f["lex"].max(), "best_combination": lambda f: combined(f).max(), "best_pmi_mean": lambda f: f["pmi_mean"].max()}
    X = np.array([[1 - math.exp(f["none"]), f["cos"].max(), f["passage_cos"].max(), f["lex"].max()] for f in items])
    y, isfit = np.array([f["answerable"] for f in items]), np.array([f["fit"] for f in items])
    lr = LogisticRegression(C=10.0, class_weight="balanced").fit(X[isfit], y[isfit])
    prob = lr.predict_proba(X)[:, 1]
    kinds = np.array([f["kind"] for f in items])
    out["answerability"] = {"test": dict(collections.Counter(kinds[~isfit].tolist()))}
    for name, v in {**{k: np.array([g(f) for f in items]) for k, g in sig.items()}, "logistic": prob}.items():
        row = {}
        for kind in ("absent", "adversarial", "all"):
            m = ~isfit & (y | (kinds == kind) | (kind == "all"))
            row[kind] = round(float(roc_auc_score(y[m], v[m])), 4)
        row["threshold_90"] = round(float(np.quantile(v[isfit & y], 0.1)), 4)
        row["kept_answerable"] = round(float((v[~isfit & y] >= row["threshold_90"]).mean()), 3)
        for kind in ("absent", "adversarial"):
            m = ~isfit & (kinds == kind)
            row[f"rejected_{kind}"] = round(float((v[m] < row["threshold_90"]).mean()), 3)
        out["answerability"][name] = row
    out["answerability"]["logistic_model"] = {"inputs": ["1 - p_none", "best_cos", "best_passage_cos", "best_lex"], "weights": [round(float(w), 3) for w in lr.coef_[0]],
                                              "bias": round(float(lr.intercept_[0]), 3)}
    common.write_json(args.json, out)
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
