"""Trains the reader from the embedder; resumes exactly from its checkpoint.

    python train_reader.py --pools work/reader --embedder ../../deploy/models/embedder --work work/reader_run --minutes 60

A draw is a question with its passage, with that passage without the sentence that answers, or with a mined passage. Spans are
learnt where the answer stands in the passage ([CLS] where it does not), relevance always. The word vectors stay the embedder's.
"""
import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed
import torch.nn.functional as F
from tokenizers import Tokenizer

import evaluate_reader
import workers
from bert_model import load_state
from reader_model import Reader, collate, context_ids, join, span_loss, token_span

# share of the draws
MIX = {"squad_dev": 0.31, "squad_unanswerable": 0.16, "altered_en": 0.08, "altered_pt": 0.05, "glossed": 0.13, "qamr": 0.05, "fairytaleqa": 0.08, "nq_oracle (lost-in-the-middle)": 0.07,
       "covid-qa": 0.03, "qed": 0.01, "squad_v1.1_pt_sample": 0.07, "faquad": 0.035, "pira": 0.03, "selqa": 0.02, "medquad": 0.02, "faq": 0.015,
       "clapnq": 0.01, "cloze_en": 0.03, "cloze_pt": 0.08}
CHUNK = 1024  # draws that are sorted by length together


def read_pools(folders):
    """The folders' pools as one."""
    out = {"passages": [], "examples": []}
    for folder in folders:
        part, base = json.loads((folder / "pools.json").read_text()), len(out["passages"])
        for e in part["examples"]:
            e["passage"] += base
            e["negatives"] = [i + base for i in e["negatives"]]
        out["passages"] += part["passages"]
        out["examples"] += part["examples"]
    return out


class Draws:
    """Endless micro-batches; chunk n depends on the seed and n alone."""

    def __init__(self, pools, tokenizer, mix, size, longest, titled, seed):
        self.passages, self.size, self.longest, self.titled, self.seed = pools["passages"], size, longest, titled, seed
        encode = lambda texts: tokenizer.encode_batch(texts, add_special_tokens=False)
        self.groups, held_out = {}, {e["passage"] for e in pools["examples"] if e["dev"]}
        for e in pools["examples"]:
            if e["passage"] not in held_out:  # a passage may stand under several titles
                name = e["source"] if e["answerable"] or e["source"] != "squad_dev" else "squad_unanswerable"
                self.groups.setdefault(name, []).append(e)
        self.groups = {k: v for k, v in self.groups.items() if k in mix}
        flat = [e for v in self.groups.values() for e in v]
        need = sorted({i for e in flat for i in [e["passage"], *e["negatives"]]})
        self.tokens = dict(zip(need, ((t.ids, t.offsets) for t in encode([self.passages[i]["text"] for i in need]))))
        self.titles = dict(zip(need, (context_ids(tokenizer, self.passages[i]["title"]) for i in need)))
        for e, t in zip(flat, encode([e["question"] for e in flat])):
            e["ids"] = t.ids
            offsets = self.tokens[e["passage"]][1]
            e["token_spans"] = [s for s in (token_span(offsets, *c) for c in e["spans"]) if s]
            e["token_cut"] = token_span(offsets, *e["cut"]) if e["cut"] else None
        self.names = list(self.groups)
        self.shares = np.array([mix[n] for n in self.names])
        self.shares /= self.shares.sum()

    def window(self, ids, spans, r):
        """A part of the passage, of random length, that keeps the spans."""
        length = r.randint(self.longest // 2, self.longest + 1)
        if len(ids) <= length:
            return ids, spans
        lo = max(0, max(b for _, b in spans) + 1 - length) if spans else 0
        hi = min(min(a for a, _ in spans), len(ids) - length) if spans else len(ids) - length
        if lo > hi:  # answers far apart: keep the first
            return self.window(ids, spans[:1], r) if len(spans) > 1 else (ids[spans[0][0]:][:length], [(0, min(spans[0][1] - spans[0][0], length - 1))])
        at = r.randint(lo, hi + 1)
        return ids[at:at + length], [(a - at, b - at) for a, b in spans]

    def draw(self, name, r):
        group = self.groups[name]
        e = group[r.randint(len(group))]
        ids, spans, title = self.tokens[e["passage"]][0], e["token_spans"], self.titles[e["passage"]]
        relevant, teaches_span, u = e["answerable"], bool(spans) or not e["answerable"], r.rand()
        if name == "qamr":  # among sentences of other articles
            before, after = ([t for _ in range(r.randint(0, 3)) for t in self.tokens[group[r.randint(len(group))]["passage"]][0]] for _ in range(2))
            ids, spans = before + ids + after, [(a + len(before), b + len(before)) for a, b in spans]
        elif relevant and u < 0.10 and e["token_cut"]:
            a, b = e["token_cut"]
            ids, spans, relevant = ids[:a] + ids[b + 1:], [], False
        elif relevant and u < 0.38 and e["negatives"]:
            other = e["negatives"][r.randint(len(e["negatives"]))]
            ids, spans, title, relevant, teaches_span = self.tokens[other][0], [], self.titles[other], False, True
        ids, spans = self.window(ids, spans, r)
        row, types, at = join(e["ids"], ids, title if r.rand() < self.titled else [])
        return row, types, [(a + at, b + at) for a, b in spans] or [(0, 0)], float(relevant), float(teaches_span)

    def chunk(self, n):
        r = np.random.RandomState([self.seed, n])
        rows = [self.draw(self.names[k], r) for k in r.choice(len(self.names), CHUNK, p=self.shares)]
        rows.sort(key=lambda x: len(x[0]))
        batches, cur = [], []
        for x in rows:
            if cur and (len(cur) + 1) * len(x[0]) > self.size:
                batches.append(cur)
                cur = []
            cur.append(x)
        batches.append(cur)
        r.shuffle(batches)
        return batches


def losses(model, batch):
    relevance, start, end = model(*collate(batch))
    span = span_loss(start, end, [x[2] for x in batch], torch.tensor([x[4] for x in batch]))
    return span, F.binary_cross_entropy_with_logits(relevance, torch.tensor([x[3] for x in batch]))


def train(rank, args, draws, probe):
    """One of the processes: it computes its micro-batch of a step; the gradients of all are averaged."""
    torch.distributed.init_process_group("gloo", rank=rank, world_size=args.workers)
    torch.manual_seed(args.seed)
    model = Reader(load_state(args.embedder), dropout=args.dropout)
    if args.start:
        model.load_state_dict(torch.load(args.start)["model"])
    model.bert.words.requires_grad_(False)
    body, heads = [p for n, p in model.named_parameters() if n.startswith("bert.p.")], list(model.heads.parameters())
    opt = torch.optim.AdamW([{"params": body, "base": args.lr}, {"params": heads, "base": 3 * args.lr}], lr=args.lr, betas=(0.9, 0.98),
                            weight_decay=0.01)
    step, chunk, place, spent, tokens = 0, 0, 0, 0.0, 0
    ckpt = args.work / "checkpoint.pt"
    if ckpt.exists():
        s = torch.load(ckpt)
        model.load_state_dict(s["model"])
        opt.load_state_dict(s["opt"])
        step, chunk, place, spent, tokens = s["at"]

    def save():
        torch.save({"model": model.state_dict(), "opt": opt.state_dict(), "at": (step, chunk, place, spent, tokens)}, ckpt.with_suffix(".tmp"))
        os.replace(ckpt.with_suffix(".tmp"), ckpt)

    log = open(args.work / "log.jsonl", "a") if rank == 0 else None

    def note(**fields):
        rec = {"step": step, "minutes": round(spent / 60, 2), "tokens": tokens, **fields}
        print(json.dumps(rec), flush=True)
        log.write(json.dumps(rec) + "\n")
        log.flush()

    batches, total, saved, saves, ema, last = draws.chunk(chunk), args.minutes * 60, spent, 0, None, time.process_time()
    while spent < total:
        scale = min(1.0, (step + 1) / 100) * (1 - spent / total)
        for g in opt.param_groups:
            g["lr"] = g["base"] * scale
        if place + args.workers > len(batches):
            chunk, place = chunk + 1, 0
            batches = draws.chunk(chunk)
        torch.manual_seed((args.seed << 40) + (step << 8) + rank)  # of dropout: a resumed run draws the same
        batch = batches[place + rank]
        span, relevance = losses(model, batch)
        (span + 0.5 * relevance).backward()
        now = time.process_time()
        shared = workers.averaged(body + heads, [span.item(), relevance.item(), now - last], args.workers)
        torch.nn.utils.clip_grad_norm_(body + heads, 1.0)
        opt.step()
        opt.zero_grad(set_to_none=True)
        step, tokens, place, last = step + 1, tokens + sum(len(x[0]) for k in range(args.workers) for x in batches[place + k]), place + args.workers, now
        spent += shared[-1].item()  # the same in all processes
        ema = shared[-3:-1] if ema is None else 0.98 * ema + 0.02 * shared[-3:-1]
        if step % 25 == 0 and rank == 0:
            note(chunk=chunk, scale=round(scale, 3), loss_span=round(ema[0].item(), 4), loss_relevance=round(ema[1].item(), 4))
        if spent - saved > 300:
            saved = spent
            saves += 1
            if rank == 0:
                save()
                if saves % 2 == 0:
                    note(**evaluate_reader.quick(model, probe))
            torch.distributed.barrier()
            last = time.process_time()
    if rank == 0:
        save()
        note(**evaluate_reader.quick(model, probe))
    torch.distributed.destroy_process_group()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--pools", required=True, type=Path, nargs="+", help="of data_reader.py, data_cloze.py, data_altered.py")
    ap.add_argument("--embedder", required=True, type=Path)
    ap.add_argument("--start", type=Path, help="checkpoint of an earlier run whose weights to begin with")
    ap.add_argument("--work", required=True, type=Path)
    ap.add_argument("--mix", type=json.loads, default=MIX, help="JSON: share of the draws by source")
    ap.add_argument("--minutes", type=float, default=60, help="of a process's time on its core, an earlier run's included")
    ap.add_argument("--micro", type=int, default=1536, help="tokens per micro-batch")
    ap.add_argument("--longest", type=int, default=160, help="passage tokens")
    ap.add_argument("--titled", type=float, default=0.5, help="share of the passages with a title that are read below it")
    ap.add_argument("--lr", type=float, default=2e-4)
    ap.add_argument("--dropout", type=float, default=0.0)
    ap.add_argument("--workers", type=int, default=2, help="processes of one thread, a micro-batch of each step apiece")
    ap.add_argument("--seed", type=int, default=7)
    args = ap.parse_args()
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    tok = Tokenizer.from_file(str(args.embedder / "tokenizer.json"))
    pools = read_pools(args.pools)
    draws, probe = Draws(pools, tok, args.mix, args.micro, args.longest, args.titled, args.seed), evaluate_reader.sample(pools, tok)
    workers.run(train, args, 29511, draws, probe)


if __name__ == "__main__":
    main()
