"""A small Llama written for fast training on CPU or GPU; exports to transformers' layout.

Master weights are fp32; every matrix product runs in bf16 where the machine is faster at that, else in fp32. The few
non-matrix steps have hand-written backward passes, which halves the time of an eager implementation on CPU.
"""
import time
from dataclasses import asdict, dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


def fast_type():
    """The type of matrix products: bf16 on a GPU, and on a CPU that multiplies it faster than fp32."""
    if torch.cuda.is_available():
        return torch.bfloat16
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(256, 256).to(dtype)
        x @ x
        start = time.perf_counter()
        for _ in range(8):
            x @ x
        seconds[dtype] = time.perf_counter() - start
    return min(seconds, key=seconds.get)


FAST = fast_type()


@dataclass
class Config:
    vocab: int = 8192
    hidden: int = 256
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    ffn: int = 704
    theta: float = 10000.0
    eps: float = 1e-5
    max_positions: int = 2048

    def dict(self):
        return asdict(self)


class RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, eps):
        r = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
        xn = x * r
        ctx.save_for_backward(xn, w, r)
        return (xn * w).to(FAST)

    @staticmethod
    def backward(ctx, g):
        xn, w, r = ctx.saved_tensors
        g = g.float()
        gw = (g * xn).sum(tuple(range(g.dim() - 1)))
        g = g * w
        return r * (g - xn * (g * xn).mean(-1, keepdim=True)), gw, None


class SwiGlu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gu):
        ctx.save_for_backward(gu)
        g, u = gu.float().chunk(2, -1)
        return (F.silu(g) * u).to(FAST)

    @staticmethod
    def backward(ctx, grad):
        g, u = ctx.saved_tensors[0].float().chunk(2, -1)
        grad = grad.float()
        s = torch.sigmoid(g)
        gs = g * s
        return torch.cat(((grad * u * (s + gs * (1 - s))), grad * gs), -1).to(FAST)


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Attention(torch.autograd.Function):
    """Causal grouped-query attention with rotary positions, in blocks of queries that skip masked keys.

    qkv: [B, T, (H + 2 KV) * D] -> [B, T, H * D], both FAST.
    """
    BLOCK = 128

    @staticmethod
    def forward(ctx, qkv, cos, sin, h, kv):
        b, t, w = qkv.shape
        d, g = w // (h + 2 * kv), h // kv
        q, k, v = qkv.split((h * d, kv * d, kv * d), -1)
        # [B * KV, G, T, D]: query heads of one KV head together
        q = rotate(q.float().view(b, t, kv, g, d).permute(0, 2, 3, 1, 4), cos, sin).mul_(d ** -0.5)
        q = q.to(FAST).reshape(b * kv, g, t, d)
        k = rotate(k.float().view(b, t, kv, d).transpose(1, 2), cos, sin).to(FAST).reshape(b * kv, t, d)
        v = v.view(b, t, kv, d).transpose(1, 2).reshape(b * kv, t, d)
        out, probs = torch.empty_like(q), []
        for s in range(0, t, Attention.BLOCK):
            e = min(s + Attention.BLOCK, t)
            n = e - s
            sc = torch.bmm(q[:, :, s:e].reshape(b * kv, g * n, d), k[:, :e].transpose(1, 2)).view(b * kv, g, n, e)
            sc[..., s:] += torch.full((n, n), float("-inf"), dtype=sc.dtype, device=sc.device).triu_(1)
            p = torch.softmax(sc, -1).view(b * kv, g * n, e)
            out[:, :, s:e] = torch.bmm(p, v[:, :e]).view(b * kv, g, n, d)
            probs.append(p)
        ctx.save_for_backward(q, k, v, out, cos, sin, *probs)
        ctx.dims = b, t, h, kv, g, d
        return out.view(b, kv, g, t, d).permute(0, 3, 1, 2, 4).reshape(b, t, h * d)

    @staticmethod
    def backward(ctx, grad):
        q, k, v, out, cos, sin, *probs = ctx.saved_tensors
        b, t, h, kv, g, d = ctx.dims
        go = grad.view(b, t, kv, g, d).permute(0, 2, 3, 1, 4).reshape(b * kv, g, t, d)
        dq = torch.empty_like(q)
        dk = torch.zeros(k.shape, device=k.device)
        dv = torch.zeros(v.shape, device=v.device)
        for i, s in enumerate(range(0, t, Attention.BLOCK)):
            e = min(s + Attention.BLOCK, t)
            n = e - s
            p, gb = probs[i], go[:, :, s:e].reshape(b * kv, g * n, d)
            dp = torch.bmm(gb, v[:, :e].transpose(1, 2))
            ds = torch._softmax_backward_data(dp, p, -1, p.dtype)
            dq[:, :, s:e] = torch.bmm(ds, k[:, :e]).view(b * kv, g, n, d)
            dk[:, :e] += torch.bmm(ds.transpose(1, 2), q[:, :, s:e].reshape(b * kv, g * n, d)).float()
            dv[:, :e] += torch.bmm(p.transpose(1, 2), gb).float()
        dq = rotate(dq.float().view(b, kv, g, t, d).mul_(d ** -0.5), cos, -sin)
        dk = rotate(dk.view(b, kv, t, d), cos, -sin)
        return torch.cat((dq.permute(0, 3, 1, 2, 4).reshape(b, t, h * d), dk.transpose(1, 2).reshape(b, t, kv * d),
                          dv.view(b, kv, t, d).transpose(1, 2).reshape(b, t, kv * d)), -1).to(FAST), None, None, None, None


class WeightedLoss(torch.autograd.Function):
    """sum(weight * cross entropy) of hidden states against the tied embedding; its gradient is made at once."""

    @staticmethod
    def forward(ctx, x, w, target, weight):
        logits = F.linear(x, w).float()
        lse = torch.logsumexp(logits, -1)
        ce = lse - logits.gather(1, target[:, None])[:, 0]
        g = logits.sub_(lse[:, None]).exp_()
        g.scatter_add_(1, target[:, None], -torch.ones_like(ce)[:, None])
        g = g.mul_(weight[:, None]).to(FAST)
        ctx.save_for_backward(g @ w, g.t() @ x)
        ctx.ce = ce
        return (ce * weight).sum()

    @staticmethod
    def backward(ctx, grad):
        gx, gw = ctx.saved_tensors
        return (gx.float() * grad).to(FAST), (gw.float() * grad).to(FAST), None, None


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        qkv = (c.heads + 2 * c.kv_heads) * c.head_dim
        self.norm1, self.norm2 = nn.Parameter(torch.ones(c.hidden)), nn.Parameter(torch.ones(c.hidden))
        self.qkv = nn.Parameter(torch.randn(qkv, c.hidden) * c.hidden ** -0.5)
        self.out = nn.Parameter(torch.zeros(c.hidden, c.heads * c.head_dim))  # each layer starts as the identity
        self.up = nn.Parameter(torch.randn(2 * c.ffn, c.hidden) * c.hidden ** -0.5)
        self.down = nn.Parameter(torch.zeros(c.hidden, c.ffn))


class Decoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        # Large, so that what the layers add does not drown the token; the final norm starts small, so the logits do too.
        self.embed = nn.Parameter(torch.randn(c.vocab, c.hidden) * 0.5)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.layers))
        self.norm = nn.Parameter(torch.full((c.hidden,), 0.06))
        inv = c.theta ** (-torch.arange(0, c.head_dim, 2).float() / c.head_dim)
        ang = torch.arange(c.max_positions).float()[:, None] * inv
        self.register_buffer("cos", ang.cos(), persistent=False)
        self.register_buffer("sin", ang.sin(), persistent=False)

    @torch.no_grad()
    def plant_meaning(self, vectors, own=160):
        """Mixes word vectors [vocab, any] into the random token vectors: related words start out close, in both languages."""
        x = vectors - vectors.mean(0)
        known = x.norm(dim=1) > 0
        u, s, v = torch.linalg.svd(x[known], full_matrices=False)
        x = F.normalize(x @ v[:own].t() / s[:own], dim=1)  # whitened: every token stays easy to tell apart
        mixed = F.normalize(0.8 * x + 0.6 * F.normalize(torch.randn_like(x), dim=1), dim=1)
        self.embed[:, :own] = 0.5 * own ** 0.5 * torch.where(known[:, None], mixed, F.normalize(torch.randn_like(x), dim=1))

    @torch.no_grad()
    def plant_copying(self):
        """Starts training with a working copy circuit, which would otherwise take most of a short run to emerge.

        Layer 0, head 0 looks at the previous token and writes what it was beside the token's own vector. Layer 1, heads 0
        and 2, find the place whose previous token equals the current one and write the vector of the token found there.
        Everything stays trainable.
        """
        c, d, own, prev = self.c, self.c.head_dim, 160, 64  # dimensions: token, previous token, ..., constant (last)
        half = d // 2
        self.embed[:, own:] *= 0.04
        self.embed[:, :own] *= 1.2
        self.embed[:, -1] = 2.0
        rms = self.embed.square().mean().sqrt()
        basis = torch.linalg.qr(torch.randn(own, own))[0]
        q_of = lambda h: slice(h * d, (h + 1) * d)
        k_of = lambda h: slice((c.heads + h) * d, (c.heads + h + 1) * d)
        v_of = lambda h: slice((c.heads + c.kv_heads + h) * d, (c.heads + c.kv_heads + h + 1) * d)
        first, second = self.layers[0], self.layers[1]
        for w in (q_of(0), k_of(0), v_of(0)):
            first.qkv[w] = 0
        fast = torch.arange(12)  # the fast rotary pairs tell neighbours apart
        inv = c.theta ** (-torch.arange(half).float() / half)
        unit = rms / 2.0
        first.qkv[k_of(0)][fast, -1] = unit * 3
        first.qkv[q_of(0)][fast, -1] = unit * 22 * inv[fast].cos()  # the query is turned back by one position
        first.qkv[q_of(0)][fast + half, -1] = -unit * 22 * inv[fast].sin()
        reader = basis[:, :prev].t()
        first.qkv[v_of(0), :own] = reader
        first.out[own:own + prev, q_of(0)] = torch.eye(prev) * rms
        slow = torch.cat((torch.arange(22, half), torch.arange(22 + half, d)))  # rotary pairs that hardly turn
        for kv in range(c.kv_heads):
            head = kv * (c.heads // c.kv_heads)
            look = torch.linalg.qr(torch.randn(prev, prev))[0][:len(slow)]
            for w in (q_of(head), k_of(kv), v_of(kv)):
                second.qkv[w] = 0
            second.qkv[k_of(kv).start + slow, own:own + prev] = 3.0 * look
            second.qkv[q_of(head).start + slow, :own] = 3.0 * look @ reader
            told = basis[:, 64 * kv:64 * kv + d].t()
            second.qkv[v_of(kv), :own] = told
            second.out[:own, q_of(head)] = 2.5 * rms * told.t()

    def cast(self):
        """FAST copies of the matrices, made once per step and shared by its micro-batches."""
        return {n: p.to(FAST) for n, p in self.named_parameters() if p.dim() == 2}

    def forward(self, ids, w=None):
        """Final hidden states, FAST [B, T, hidden]."""
        c, w = self.c, w or self.cast()
        cos, sin = self.cos[:ids.shape[1]], self.sin[:ids.shape[1]]
        x = F.embedding(ids, self.embed)
        for i, l in enumerate(self.layers):
            p = f"layers.{i}."
            a = Attention.apply(F.linear(RmsNorm.apply(x, l.norm1, c.eps), w[p + "qkv"]), cos, sin, c.heads, c.kv_heads)
            x = x + F.linear(a, w[p + "out"])
            m = SwiGlu.apply(F.linear(RmsNorm.apply(x, l.norm2, c.eps), w[p + "up"]))
            x = x + F.linear(m, w[p + "down"])
        return RmsNorm.apply(x, self.norm, c.eps)

    @torch.no_grad()
    def logprobs(self, ids):
        """log p(ids[:, 1:]) token by token, fp32 [B, T - 1]."""
        w = self.cast()
        h = self(ids, w)[:, :-1]
        logits = F.linear(h, w["embed"]).float()
        return torch.log_softmax(logits, -1).gather(2, ids[:, 1:, None])[..., 0]

    @torch.no_grad()
    def extend(self, ids, past=None, w=None):
        """Hidden states [B, n, hidden] of ids after the one sequence whose keys and values `past` holds; and the new cache."""
        c, w = self.c, w or self.cast()
        b, n = ids.shape
        t = past[0][0].shape[1] if past else 0
        cos, sin = self.cos[t:t + n], self.sin[t:t + n]
        d, h, kv, g = c.head_dim, c.heads, c.kv_heads, c.heads // c.kv_heads
        causal = torch.full((n, n), float("-inf"), device=ids.device).triu_(1)
        x, cache = F.embedding(ids, self.embed), []
        for i, l in enumerate(self.layers):
            p = f"layers.{i}."
            q, k, v = F.linear(RmsNorm.apply(x, l.norm1, c.eps), w[p + "qkv"]).split((h * d, kv * d, kv * d), -1)
            q = rotate(q.float().view(b, n, kv, g, d).permute(2, 0, 3, 1, 4), cos, sin).to(FAST)  # [KV, B, G, n, D]
            k = rotate(k.float().view(b, n, kv, d).permute(2, 0, 1, 3), cos, sin).to(FAST)
            v = v.view(b, n, kv, d).permute(2, 0, 1, 3)
            s = torch.matmul(q.reshape(kv, b, g * n, d), k.transpose(2, 3)).float().view(kv, b, g, n, n) + causal * d ** 0.5
            s = s.view(kv, b, g * n, n)
            if past:
                s = torch.cat((torch.bmm(q.reshape(kv, b * g * n, d), past[i][0].transpose(1, 2)).float().view(kv, b, g * n, t), s), -1)
            a = torch.softmax(s * d ** -0.5, -1).to(FAST)
            o = torch.matmul(a[..., t:], v)
            if past:
                o = o + torch.bmm(a[..., :t].reshape(kv, b * g * n, t), past[i][1]).view(kv, b, g * n, d)
            cache.append((k[:, 0], v[:, 0]))
            o = o.view(kv, b, g, n, d).permute(1, 3, 0, 2, 4).reshape(b, n, h * d)
            x = x + F.linear(o, w[p + "out"])
            x = x + F.linear(SwiGlu.apply(F.linear(RmsNorm.apply(x, l.norm2, c.eps), w[p + "up"])), w[p + "down"])
        return RmsNorm.apply(x, self.norm, c.eps), cache

    def hf_state(self):
        c, s = self.c, {"model.embed_tokens.weight": self.embed, "model.norm.weight": self.norm}
        q, k = c.heads * c.head_dim, c.kv_heads * c.head_dim
        for i, l in enumerate(self.layers):
            p = f"model.layers.{i}."
            s[p + "input_layernorm.weight"], s[p + "post_attention_layernorm.weight"] = l.norm1, l.norm2
            a = p + "self_attn."
            s[a + "q_proj.weight"], s[a + "k_proj.weight"], s[a + "v_proj.weight"] = l.qkv.split((q, k, k))
            s[a + "o_proj.weight"], s[p + "mlp.down_proj.weight"] = l.out, l.down
            s[p + "mlp.gate_proj.weight"], s[p + "mlp.up_proj.weight"] = l.up.chunk(2)
        return {n: t.detach().to(torch.bfloat16).contiguous().cpu() for n, t in s.items()}

    def hf_config(self, bos, eos, pad):
        c = self.c
        return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": c.hidden,
                "intermediate_size": c.ffn, "num_hidden_layers": c.layers, "num_attention_heads": c.heads,
                "num_key_value_heads": c.kv_heads, "head_dim": c.head_dim, "rms_norm_eps": c.eps, "rope_theta": c.theta,
                "rope_scaling": None, "attention_bias": False, "mlp_bias": False, "attention_dropout": 0.0,
                "max_position_embeddings": c.max_positions, "vocab_size": c.vocab, "tie_word_embeddings": True,
                "bos_token_id": bos, "eos_token_id": eos, "pad_token_id": pad, "initializer_range": 0.02,
                "pretraining_tp": 1, "use_cache": True, "torch_dtype": "bfloat16"}
