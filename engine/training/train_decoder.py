"""Trains the quoting decoder; resumes from its checkpoint. The schedule follows the CPU time spent, not steps.

    python train_decoder.py --pools work/decoder --tokenizer work/tokenizer --vectors ../../deploy/models/embedder \
        --work work/decoder_run --out ../../deploy/models/decoder --minutes 42

Matrices inside the layers: Muon (orthogonalised momentum); embedding and norms: AdamW. fp32 masters.
"""
import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

import bert_model
import export
import prompt as P
import workers
from decoder_model import FAST, Config, Decoder, WeightedLoss

# Share of each pool at the start and at the end of training; copying is drilled until COPY_UNTIL of it, then fades.
MIX = {"lm": (0.10, 0.02), "cue": (0.20, 0.06), "qa": (0.10, 0.12), "evidence": (0.60, 0.80)}
COPY_SHARE, COPY_UNTIL, COPY_LEFT = 0.15, 0.04, 0.02
CONTEXT_SAMPLE, CONTEXT_WEIGHT = 0.3, 0.4  # of the prompt's tokens: loss on a sample, at this weight
FIRST_TOKENS, FIRST_WEIGHT = 4, 3.0  # the answer's first tokens choose the sentence, the others copy it

NO_QUESTION = 0.06  # share of examples whose question is left out: the reference for PMI scoring
PAD, QUESTION = 2, 4  # token ids


class Batches:
    """Micro-batches of examples of about one length, right-padded (causal attention needs no padding mask)."""

    def __init__(self, path, tokens, seed):
        z = np.load(path)
        self.tok, self.off, self.ans, self.size = z["tokens"], z["offsets"], z["answer"], tokens
        self.rng, self.queue, self.epoch = np.random.RandomState(seed), [], 0

    def next(self):
        if not self.queue:
            order = self.rng.permutation(len(self.ans))
            length = np.diff(self.off)
            for s in range(0, len(order), 2048):
                part = order[s:s + 2048]
                part = part[np.argsort(length[part], kind="stable")]
                batches, cur, longest = [], [], 0
                for i in part:
                    longest = max(longest, -(-length[i] // 32) * 32)
                    if cur and longest * (len(cur) + 1) > self.size:
                        batches.append(cur)
                        cur, longest = [], -(-length[i] // 32) * 32
                    cur.append(i)
                if len(cur) > 1:
                    batches.append(cur)
                self.rng.shuffle(batches)
                self.queue += batches
            self.queue.reverse()
            self.epoch += 1
        rows = self.queue.pop()
        n = max(self.off[i + 1] - self.off[i] for i in rows)
        ids = np.full((len(rows), n), PAD, np.int64)
        weight = np.zeros((len(rows), n), np.float32)  # weight of predicting ids[b, t]
        for b, i in enumerate(rows):
            seq, at = self.tok[self.off[i]:self.off[i + 1]], self.ans[i]
            if at >= 0 and self.rng.rand() < NO_QUESTION:
                q = int(np.argmax(seq == QUESTION)) + 1
                seq, at = np.concatenate((seq[:q], seq[at:])), q
            ids[b, :len(seq)] = seq
            end = len(seq) if at < 0 else at + 1
            pick = self.rng.rand(end) < (0.7 if at < 0 else CONTEXT_SAMPLE)
            weight[b, :end] = pick * (1.0 if at < 0 else CONTEXT_WEIGHT)
            if at >= 0:
                weight[b, end:len(seq)] = 1.0
                weight[b, end:min(end + FIRST_TOKENS, len(seq))] = FIRST_WEIGHT
        return torch.from_numpy(ids), torch.from_numpy(weight)


class Copies:
    """Random spans that come back later in the sequence: teaches the copying that quoting rests on, within minutes."""

    def __init__(self, text, tokens, seed, vocab=8192):
        self.tok, self.size, self.vocab = np.load(text)["tokens"], tokens, vocab
        self.rng, self.epoch = np.random.RandomState(seed), 0

    def next(self):
        r = self.rng
        n = int(r.choice([96, 128, 192, 256]))
        ids = np.zeros((self.size // n, n), np.int64)
        weight = np.zeros(ids.shape, np.float32)
        for row, w in zip(ids, weight):
            if r.rand() < 0.5:
                row[:] = r.randint(8, self.vocab, n)
            else:
                at = r.randint(0, len(self.tok) - n)
                row[:] = self.tok[at:at + n]
            end = r.randint(n // 2, 3 * n // 4)  # from here on spans of row[:end] come back
            while end < n - 4:
                start = r.randint(1, end - 8)
                k = min(r.randint(8, 48), n - end, end - start)
                row[end:end + k] = row[start:start + k]
                w[end + 1:end + k] = 1.0
                end += k
        return torch.from_numpy(ids), torch.from_numpy(weight)


def word_vectors(tok, folder):
    """For every token that spells a word or a piece of one: the mean of the embedder's vectors for it."""
    pieces = Tokenizer.from_file(str(folder / "tokenizer.json"))
    pieces.no_padding()
    pieces.no_truncation()
    table = bert_model.load_state(folder)["embeddings.word_embeddings.weight"]
    out = torch.zeros(tok.get_vocab_size(), table.shape[1])
    for i in range(8, len(out)):
        text = tok.decode([i])
        ids = pieces.encode(text.strip(), add_special_tokens=False).ids if any(c.isalnum() for c in text) else []
        if ids and pieces.token_to_id("[UNK]") not in ids:
            out[i] = table[ids].mean(0)
    return out


def orthogonalise(g):
    """Newton-Schulz iteration towards the nearest semi-orthogonal matrix (quintic coefficients of Muon)."""
    x = g.to(FAST)
    flip = x.shape[0] > x.shape[1]
    x = x.t() if flip else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        a = x @ x.t()
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return (x.t() if flip else x).float()


class Optimizer:
    def __init__(self, model, lr_matrix, lr_adam):
        c = model.c
        q, k = c.heads * c.head_dim, c.kv_heads * c.head_dim
        self.splits = {"qkv": (q, k, k), "up": (c.ffn, c.ffn)}
        named = dict(model.named_parameters())
        self.matrices = {n: p for n, p in named.items() if p.dim() == 2 and n != "embed"}
        self.momentum = {n: torch.zeros_like(p) for n, p in self.matrices.items()}
        self.adam = torch.optim.AdamW([
            {"params": [named["embed"]], "rate": 1.0}, {"params": [p for p in named.values() if p.dim() == 1], "rate": 0.15}],
            lr=lr_adam, betas=(0.9, 0.97), eps=1e-8, weight_decay=0.0)
        self.all, self.lr_matrix, self.lr_adam = list(named.values()), lr_matrix, lr_adam

    @torch.no_grad()
    def step(self, scale):
        norm = torch.nn.utils.clip_grad_norm_(self.all, 1.0)
        for g in self.adam.param_groups:
            g["lr"] = self.lr_adam * scale * g["rate"]
        self.adam.step()
        for n, p in self.matrices.items():
            m = self.momentum[n].mul_(0.95).add_(p.grad)
            u = p.grad.add(m, alpha=0.95)
            parts = u.split(self.splits.get(n.rsplit(".", 1)[1], (p.shape[0],)))
            u = torch.cat([orthogonalise(x) * max(1.0, x.shape[0] / x.shape[1]) ** 0.5 for x in parts])
            lr = self.lr_matrix * scale * (0.5 if n.endswith((".out", ".down")) else 1.0)
            p.mul_(1 - lr * 0.1).add_(u, alpha=-lr)
        for p in self.all:
            p.grad = None
        return norm.item()

    def state_dict(self):
        return {"adam": self.adam.state_dict(), "momentum": self.momentum}

    def load_state_dict(self, s):
        self.adam.load_state_dict(s["adam"])
        self.momentum = s["momentum"]


def dev_scores(model, pools, enc, questions, device):
    """Perplexity per language; on a few dev questions the mean log p of the gold sentence and the copy accuracy."""
    out = {}
    model.eval()
    for lang in ("en", "pt"):
        z = np.load(pools / f"dev_lm_{lang}.npz")
        total, n = 0.0, 0
        for i in range(0, min(24, len(z["answer"]))):
            ids = torch.from_numpy(z["tokens"][z["offsets"][i]:z["offsets"][i + 1]].astype(np.int64))[None].to(device)
            total -= model.logprobs(ids).sum().item()
            n += ids.shape[1] - 1
        out[f"ppl_{lang}"] = round(math.exp(total / n), 2)
    first = rest = 0.0
    for q in questions:
        pre = enc.prompt([q["context"]] + q["distractors"][:1], q["question"])
        ans = enc.answer(q["gold"], 1)
        lp = model.logprobs(torch.tensor([pre + ans], device=device))[0, len(pre) - 1:]
        first += lp[:4].sum().item() / len(questions)
        rest += lp[4:].mean().item() / len(questions)
    out.update(gold_first4=round(first, 3), gold_rest=round(rest, 4))
    model.train()
    return out


def train(rank, args):
    """One of the processes, which take a micro-batch of each step apiece."""
    if args.workers > 1:
        torch.distributed.init_process_group("gloo", rank=rank, world_size=args.workers)
    torch.manual_seed(args.seed)
    enc = P.Encoder(Tokenizer.from_file(str(args.tokenizer / "tokenizer.json")))
    model = Decoder(Config(layers=args.layers))
    if args.vectors:
        model.plant_meaning(word_vectors(enc.tok, args.vectors))
    model.plant_copying()
    model.to(args.device)
    opt = Optimizer(model, args.lr_matrix, args.lr_adam)
    step, spent, tokens = 0, 0.0, 0
    ckpt = args.work / "checkpoint.pt"
    if ckpt.exists():
        s = torch.load(ckpt, map_location=args.device)
        model.load_state_dict(s["model"])
        opt.load_state_dict(s["opt"])
        step, spent, tokens = s["step"], s["spent"], s["tokens"]
        print("resumed at step", step)
    seed = args.seed + step + 1000 * rank
    pools = {k: Batches(args.pools / f"{k}.npz", args.micro, seed + 31 * i) for i, k in enumerate(MIX)}
    pools["copy"] = Copies(args.pools / "lm.npz", args.micro, seed)
    rnd = np.random.RandomState(args.seed + step)  # all workers draw alike
    questions = [q for q in json.loads((args.pools / "dev_qa.json").read_text()) if q["gold"]]
    questions = [questions[i] for i in np.random.RandomState(1).permutation(len(questions))[:40]]
    log = open(args.work / "log.jsonl", "a") if rank == 0 else None

    def note(**fields):
        rec = {"step": step, "minutes": round(spent / 60, 2), "tokens": tokens, **fields}
        print(json.dumps(rec), flush=True)
        log.write(json.dumps(rec) + "\n")
        log.flush()

    def save():
        note(**dev_scores(model, args.pools, enc, questions, args.device), epochs={k: p.epoch for k, p in pools.items()})
        torch.save({"model": model.state_dict(), "opt": opt.state_dict(), "step": step, "spent": spent, "tokens": tokens},
                   ckpt.with_suffix(".tmp"))
        os.replace(ckpt.with_suffix(".tmp"), ckpt)
        export.decoder(model, args.tokenizer, args.out)

    total, last, saved, ema = args.minutes * 60, time.process_time(), spent, {}
    while spent < total:
        f = spent / total
        scale = min(1.0, (step + 1) / 40) * max(0.02, 1.0 if f < 0.4 else 0.5 * (1 + math.cos(math.pi * (f - 0.4) / 0.6)))
        mix = np.array([a + (b - a) * min(1.0, f / 0.7) for a, b in MIX.values()])
        copy = COPY_SHARE if f < COPY_UNTIL else max(COPY_LEFT, COPY_SHARE * (1 - (f - COPY_UNTIL) / 0.08))
        mix = np.append(mix / mix.sum() * (1 - copy), copy)
        kind = list(pools)[rnd.choice(len(mix), p=mix)]
        w = model.cast()
        ids, weight = (x.to(args.device) for x in pools[kind].next())
        h = model(ids, w)[:, :-1]
        weight, target = weight[:, 1:], ids[:, 1:]
        at = weight > 0
        loss = WeightedLoss.apply(h[at], w["embed"], target[at], weight[at]) / weight.sum()
        loss.backward()
        now = time.process_time()  # a busy or paused machine does not eat the schedule
        mean_loss, seconds, count = workers.averaged(opt.all, [loss.item(), now - last, float(ids.numel())], args.workers).tolist()
        norm = opt.step(scale)
        ema[kind] = 0.97 * ema.get(kind, mean_loss) + 0.03 * mean_loss
        step, tokens, spent, last = step + 1, tokens + round(count * args.workers), spent + seconds, now
        if step % 50 == 0 and rank == 0:
            note(scale=round(scale, 3), norm=round(norm, 2), **{f"loss_{k}": round(v, 4) for k, v in ema.items()})
        if spent - saved > 240:  # the same in all processes
            saved = spent
            if rank == 0:
                save()
                last = time.process_time()
    if rank == 0:
        save()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--pools", required=True, type=Path)
    ap.add_argument("--tokenizer", required=True, type=Path)
    ap.add_argument("--vectors", type=Path, help="folder of the embedder that lends its word vectors as a start")
    ap.add_argument("--work", required=True, type=Path)
    ap.add_argument("--out", required=True, type=Path)
    ap.add_argument("--minutes", type=float, default=48, help="of a process's time on its core, an earlier run's included")
    ap.add_argument("--micro", type=int, default=4096, help="tokens per micro-batch")
    ap.add_argument("--lr-matrix", type=float, default=0.015)
    ap.add_argument("--lr-adam", type=float, default=0.01)
    ap.add_argument("--layers", type=int, default=6)
    ap.add_argument("--workers", type=int, default=2, help="processes of one thread on a CPU, whose gradients are averaged")
    ap.add_argument("--seed", type=int, default=5)
    ap.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = ap.parse_args()
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    if args.device != "cpu":
        args.workers = 1
        return train(0, args)
    workers.run(train, args, 29512)


if __name__ == "__main__":
    main()
