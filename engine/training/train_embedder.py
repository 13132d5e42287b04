"""Multilingual distillation of all-MiniLM-L6-v2; resumes from its checkpoint. The schedule follows the CPU time spent.

    python train_embedder.py --sets work/embedder --work work/embedder_run --out ../../deploy/models/embedder --minutes 45

Every text that has an English meaning regresses to the teacher's vector of that English text: translations (bi, head, lex),
word-by-word glossed English (pseudo) and English itself (en). Portuguese questions and headings learn to find their passage
by an in-batch contrast (qp, headed).
"""
import argparse
import json
import math
import os
import shutil
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

import export
from bert_model import SentenceEncoder, cut, encode, load_state, pad, teacher_folder

# share of the micro-batches; longest text in tokens
MIX = {"bi": (0.34, 128), "pseudo": (0.16, 96), "head": (0.07, 32), "lex": (0.05, 16), "en": (0.10, 128), "qp": (0.16, 160), "headed": (0.12, 128)}
SCALE = 20.0  # of the contrast's cosines


def plain_teacher(device):
    tok = Tokenizer.from_file(str(teacher_folder() / "tokenizer.json"))
    tok.no_padding()
    tok.no_truncation()
    return SentenceEncoder(load_state(teacher_folder())).to(device).eval(), tok


class Set:
    """Micro-batches of like length: (token rows of one side or two, rows of targets)."""

    def __init__(self, first, second, size, seed):
        self.first, self.second, self.size = first, second, size
        self.rng, self.queue = np.random.RandomState(seed), []

    def next(self):
        if not self.queue:
            n = np.array([len(x) for x in (self.second or self.first)])
            order = self.rng.permutation(len(n))
            for s in range(0, len(order), 4096):
                part = order[s:s + 4096]
                part = part[np.argsort(n[part], kind="stable")]
                cur, done = [], []
                for i in part:
                    if cur and (len(cur) + 1) * n[i] > self.size or len(cur) == 160:
                        done.append(cur)
                        cur = []
                    cur.append(i)
                self.rng.shuffle(done)
                self.queue += done
            self.queue.reverse()
        return self.queue.pop()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--sets", required=True, type=Path)
    ap.add_argument("--work", required=True, type=Path)
    ap.add_argument("--out", required=True, type=Path)
    ap.add_argument("--minutes", type=float, default=45, help="of CPU time, an earlier run's included")
    ap.add_argument("--micro", type=int, default=3072, help="tokens per micro-batch")
    ap.add_argument("--lr", type=float, default=1.2e-4)
    ap.add_argument("--lr-fresh", type=float, default=1.5e-3)
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--seed", type=int, default=3)
    ap.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.work.mkdir(parents=True, exist_ok=True)
    tok = Tokenizer.from_file(str(args.sets / "tokenizer" / "tokenizer.json"))
    sets = json.loads((args.sets / "sets.json").read_text())
    teacher, teacher_tok = plain_teacher(args.device)
    model = SentenceEncoder(load_state(teacher_folder()), np.load(args.sets / "new_rows.npy")).to(args.device)
    fresh, body = [model.fresh], [p for n, p in model.named_parameters() if n not in ("fresh", "words")]
    opt = torch.optim.AdamW([{"params": body, "base": args.lr}, {"params": [model.words], "base": args.lr / 2},
                             {"params": fresh, "base": args.lr_fresh}], lr=args.lr, betas=(0.9, 0.98), weight_decay=0.0)
    step, spent, tokens = 0, 0.0, 0
    ckpt = args.work / "checkpoint.pt"
    if ckpt.exists():
        s = torch.load(ckpt, map_location=args.device)
        model.load_state_dict(s["model"])
        opt.load_state_dict(s["opt"])
        step, spent, tokens = s["step"], s["spent"], s["tokens"]
        print("resumed at step", step)
    batches, rows = {}, {}
    for i, (name, (_, longest)) in enumerate(MIX.items()):
        a, b = ([cut(e.ids, longest) for e in tok.encode_batch([p[k] for p in sets[name]])] for k in (0, 1))
        if name in ("qp", "headed"):
            a = [cut(x, 40) for x in a]
        rows[name] = (a, b)
        batches[name] = Set(a, b, args.micro, args.seed + 100 * i + step)
    contexts = np.unique([p[1] for p in sets["qp"]], return_inverse=True)[1]
    taught = {}
    rnd = np.random.RandomState(args.seed + step)

    def targets(name, idx):
        """The teacher's vectors of the English side, computed once per text."""
        texts = [sets[name][i][0] for i in idx]
        need = sorted({t for t in texts if t not in taught})
        if need:
            taught.update(zip(need, encode(teacher, teacher_tok, need, 128, device=args.device)))
        return torch.from_numpy(np.stack([taught[t] for t in texts])).to(args.device)

    dev = [p for p in sets["dev_bi"]][:400]
    dev_target = torch.from_numpy(encode(teacher, teacher_tok, [e for e, _ in dev], 128, device=args.device))

    def dev_scores():
        model.eval()
        pt = torch.from_numpy(encode(model, tok, [p for _, p in dev], 128, device=args.device))
        en = torch.from_numpy(encode(model, tok, [e for e, _ in dev], 128, device=args.device))
        model.train()
        hit = lambda x, y: round((x @ y.t()).argmax(1).eq(torch.arange(len(x))).float().mean().item(), 4)
        return {"dev_cos_pt": round((pt * dev_target).sum(1).mean().item(), 4), "dev_cos_en": round((en * dev_target).sum(1).mean().item(), 4),
                "dev_bitext": hit(pt, en)}

    def save():
        torch.save({"model": model.state_dict(), "opt": opt.state_dict(), "step": step, "spent": spent, "tokens": tokens}, ckpt.with_suffix(".tmp"))
        os.replace(ckpt.with_suffix(".tmp"), ckpt)

    names, shares = list(MIX), np.array([v[0] for v in MIX.values()])
    total, last, saved, ema = args.minutes * 60, time.process_time(), spent, {}
    log = open(args.work / "log.jsonl", "a")
    print(json.dumps({"start": dev_scores()}), flush=True)
    while spent < total:
        f = spent / total
        scale = min(1.0, (step + 1) / 60) * (0.5 * (1 + math.cos(math.pi * f)) * 0.97 + 0.03)
        for g in opt.param_groups:
            g["lr"] = g["base"] * scale
        for _ in range(2):
            name = names[rnd.choice(len(names), p=shares / shares.sum())]
            idx = batches[name].next()
            a, b = rows[name]
            if name in ("qp", "headed"):
                if name == "qp":  # one question per passage
                    idx = list({contexts[i]: i for i in idx}.values())
                q, p = model(*pad([a[i] for i in idx], args.device)), model(*pad([b[i] for i in idx], args.device))
                s, want = SCALE * q @ p.t(), torch.arange(len(idx), device=args.device)
                loss = 0.25 * (F.cross_entropy(s, want) + F.cross_entropy(s.t(), want))
                tokens += sum(len(a[i]) + len(b[i]) for i in idx)
            else:
                t = targets(name, idx)
                y = model(*pad([b[i] for i in idx], args.device))
                loss = 3.0 * (1 - (y * t).sum(1)).mean()
                if name in ("bi", "head", "pseudo"):  # and nearer to its own meaning than to the batch's others
                    loss = loss + 0.15 * F.cross_entropy(SCALE * y @ t.t(), torch.arange(len(idx), device=args.device))
                if name == "en":
                    loss = 2 * loss
                tokens += sum(len(b[i]) for i in idx)
            (loss / 2).backward()
            ema[name] = 0.95 * ema.get(name, loss.item()) + 0.05 * loss.item()
        torch.nn.utils.clip_grad_norm_(body, 1.0)
        opt.step()
        opt.zero_grad(set_to_none=True)
        step += 1
        now = time.process_time()  # a busy or paused machine does not eat the schedule
        spent, last = spent + now - last, now
        if step % 25 == 0:
            rec = {"step": step, "minutes": round(spent / 60, 2), "tokens": tokens, "scale": round(scale, 3), **{f"loss_{k}": round(v, 4) for k, v in ema.items()}}
            if spent - saved > 300:
                rec.update(dev_scores())
                save()
                saved = spent
            print(json.dumps(rec), flush=True)
            log.write(json.dumps(rec) + "\n")
            log.flush()
    rec = {"step": step, "minutes": round(spent / 60, 2), "tokens": tokens, **dev_scores()}
    print(json.dumps(rec))
    log.write(json.dumps(rec) + "\n")
    save()
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(args.sets / "tokenizer" / name, args.out / name)
    export.embedder(model.state(), teacher_folder(), args.out)


if __name__ == "__main__":
    main()
