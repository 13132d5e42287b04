"""What the decoder quotes on held-out titles, of the few sentences that it is shown: the one that answers, another, or none.

    python evaluate_decoder.py --pools work/decoder --decoder ../../deploy/models/decoder --json work/eval_decoder.json

Sentences of the passage and of one other, ranked as a reader would (data_decoder.ranked_sentences); greedy, each token one that
some shown sentence goes on with, as Lastro constrains it; it declines where that is ten times likelier than all of them together.
"""
import argparse
import collections
import json
import math
import random
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

import common
import prompt as P
from data_decoder import ranked_sentences
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
def quoted(model, w, enc, passages, question):
    """The index of the sentence that it writes; None where it declines."""
    prompt = enc.prompt(passages, question)
    texts = [enc.text(" " + s) for s in passages]
    hidden, cache = model.extend(torch.tensor([prompt]), w=w)
    first = torch.nn.functional.linear(hidden[0, -1], w["embed"]).float()
    left = list(range(len(texts)))
    begins = torch.tensor(sorted({texts[i][0] for i in left}))
    if first[enc.id["none"]] > math.log(10) + torch.logsumexp(first[begins], 0):
        return None
    logits, at = first, 0
    while len(left) > 1:
        ends = [i for i in left if len(texts[i]) == at]
        best = max((i for i in left if len(texts[i]) > at), key=lambda i: logits[texts[i][at]].item(), default=None)
        if ends and (best is None or logits[enc.id["cite"]] >= logits[texts[best][at]]):
            return ends[0]
        left = [i for i in left if len(texts[i]) > at and texts[i][at] == texts[best][at]]
        at += 1
        if len(left) > 1:
            hidden, _ = model.extend(torch.tensor([texts[left[0]][:at]]), cache, w)
            logits = torch.nn.functional.linear(hidden[0, -1], w["embed"]).float()
    return left[0]


def perplexity(model, pools, enc, lang):
    z = np.load(pools / f"dev_lm_{lang}.npz")
    total, n, size = 0.0, 0, 0
    for i in range(min(60, len(z["answer"]))):
        seq = z["tokens"][z["offsets"][i]:z["offsets"][i + 1]].astype(np.int64)
        total -= model.logprobs(torch.from_numpy(seq)[None]).sum().item()
        n += len(seq) - 1
        size += len(enc.tok.decode(seq.tolist()).encode())
    return {"per_token": round(math.exp(total / n), 2), "bits_per_byte": round(total / math.log(2) / size, 3), "tokens": n}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--pools", required=True, type=Path)
    ap.add_argument("--decoder", required=True, type=Path)
    ap.add_argument("--json", required=True, type=Path)
    args = ap.parse_args()
    torch.set_num_threads(1)
    enc = P.Encoder(Tokenizer.from_file(str(args.decoder / "tokenizer.json")))
    model = load_decoder(args.decoder)
    w = model.cast()
    out = {"perplexity": {lang: perplexity(model, args.pools, enc, lang) for lang in ("en", "pt")}}
    counts = collections.defaultdict(collections.Counter)
    rnd = random.Random(3)
    for r in json.loads((args.pools / "dev_qa.json").read_text()):
        if not r["gold"] or not 20 <= len(r["gold"]) <= 400:
            continue
        others = common.sentences(r["context"]) + [s for c in r["distractors"][:1] for s in common.sentences(c)[:2]]
        for gold in (r["gold"], None):
            passages = ranked_sentences(r["question"], gold, [s for s in others if s != r["gold"]], rnd)
            if len(passages) < 2:
                continue
            chosen = quoted(model, w, enc, passages, r["question"])
            count = counts[r["lang"], gold is not None]
            count["questions"] += 1
            count["declined"] += chosen is None
            count["right"] += chosen is not None and passages[chosen] == gold
            count["first"] += passages[0] == gold
    out["quoted"] = {("present" if present else "absent") + "_" + lang: dict(count) for (lang, present), count in sorted(counts.items())}
    common.write_json(args.json, out)
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
