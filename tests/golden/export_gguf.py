"""Exports the GGUF goldens of this folder, all written by the reference implementation of the format (gguf-py):

  gguf/blocks.safetensors   random blocks of every quantised type, and the values they stand for
  gguf/llama.gguf           models/llama-scaled-tied as the reference converter lays it out: rows of q and k interleaved,
                            rope_freqs.weight instead of the rope's formula, F32
  gguf/bert.gguf            models/bert-mean, F32
  gguf/mixtral.gguf         models/mixtral and gguf/qwen3-moe.gguf models/qwen3-moe, F32: experts in one tensor
  gguf/gpt-oss.gguf         models/gpt-oss-mxfp4: gate and up apart, MXFP4 in the format's order of nibbles
  gguf/rmse.json            error of the reference quantisers on random Gaussian rows

Usage: python export_gguf.py            (the same bytes every time)

Exported with gguf 0.19.0, numpy 1.26.
"""
import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFWriter, quants
from gguf.constants import GGML_QUANT_SIZES
from safetensors.numpy import load_file, save_file

HERE = Path(__file__).resolve().parent
MODELS, OUT = HERE / "models", HERE / "gguf"
TYPES = [T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K, T.MXFP4]
# Offsets of the F16 numbers of a block.
HALVES = {T.Q4_1: [0, 2], T.Q5_1: [0, 2], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q2_K: [80, 82], T.Q3_K: [108], T.Q6_K: [208],
          T.MXFP4: []}


def random_blocks(qtype, count, random):
    """Any bytes are a block, but for its F16 numbers and exponent, which get a size that weights have."""
    blocks = random.integers(0, 256, (count, GGML_QUANT_SIZES[qtype][1]), dtype=np.uint8)
    for offset in HALVES.get(qtype, [0]):
        halves = (random.standard_normal(count) * 0.05).astype(np.float16)
        blocks[:, offset:offset + 2] = halves.view(np.uint8).reshape(count, 2)
    if qtype == T.MXFP4:
        blocks[:, 0] = random.integers(115, 125, count)
        blocks[:3, 0] = [0, 1, 250]
    return blocks


def export_blocks():
    random = np.random.default_rng(7)
    tensors = {}
    for qtype in TYPES:
        blocks = random_blocks(qtype, 3 if GGML_QUANT_SIZES[qtype][0] == 256 else 9, random)
        tensors[f"{qtype.name}.blocks"] = blocks
        tensors[f"{qtype.name}.values"] = quants.dequantize(blocks, qtype).astype(np.float32).reshape(-1)
    save_file(tensors, OUT / "blocks.safetensors")


def export_rmse():
    rows = np.random.default_rng(11).standard_normal((64, 1024)).astype(np.float32)
    rmse = {}
    for qtype in [T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.MXFP4]:
        values = quants.dequantize(quants.quantize(rows, qtype), qtype)
        rmse[qtype.name] = float(np.sqrt(np.mean((values - rows) ** 2)))
    (OUT / "rmse.json").write_text(json.dumps(rmse, indent=2) + "\n")


def permute(weights, heads):
    """The converter's layout of q and k: the two halves of each head interleaved."""
    return (weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
            .swapaxes(1, 2).reshape(weights.shape))


def rope_factors(config):
    """What Llama 3.1's formula divides each frequency by."""
    scaling, dim = config["rope_scaling"], config["head_dim"]
    frequencies = 1.0 / config["rope_theta"] ** (np.arange(0, dim, 2) / dim)
    old = scaling["original_max_position_embeddings"]
    low, high = old / scaling["low_freq_factor"], old / scaling["high_freq_factor"]
    factors = []
    for wavelength in 2 * np.pi / frequencies:
        smooth = (old / wavelength - scaling["low_freq_factor"]) / (scaling["high_freq_factor"] - scaling["low_freq_factor"])
        between = 1 / ((1 - smooth) / scaling["factor"] + smooth)
        factors.append(1.0 if wavelength < high else scaling["factor"] if wavelength > low else between)
    return np.array(factors, dtype=np.float32)


def new_writer(name, architecture, folder, config):
    writer = GGUFWriter(str(OUT / name), architecture)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_string("tokenizer.huggingface.json", (folder / "tokenizer.json").read_text())
    return writer


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def export_llama():
    folder = MODELS / "llama-scaled-tied"
    config = json.loads((folder / "config.json").read_text())
    writer = new_writer("llama.gguf", "llama", folder, config)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_eot_token_id(2)
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}
    parts = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
             "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
    for layer in range(config["num_hidden_layers"]):
        names.update({f"model.layers.{layer}.{hf}": f"blk.{layer}.{gguf}" for hf, gguf in parts.items()})
    writer.add_tensor("rope_freqs.weight", rope_factors(config))
    for name, tensor in sorted(load_file(folder / "model.safetensors").items()):
        stem, suffix = name.rsplit(".", 1)
        if "q_proj" in name:
            tensor = permute(tensor, config["num_attention_heads"])
        if "k_proj" in name:
            tensor = permute(tensor, config["num_key_value_heads"])
        writer.add_tensor(f"{names[stem]}.{suffix}", np.ascontiguousarray(tensor.astype(np.float32)))
    finish(writer)


def export_bert():
    folder = MODELS / "bert-mean"
    config = json.loads((folder / "config.json").read_text())
    writer = new_writer("bert.gguf", "bert", folder, config)
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_uint32("bert.pooling_type", 1)
    names = {"embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
             "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm"}
    parts = {"attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
             "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
             "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}
    for layer in range(config["num_hidden_layers"]):
        names.update({f"encoder.layer.{layer}.{hf}": f"blk.{layer}.{gguf}" for hf, gguf in parts.items()})
    for name, tensor in sorted(load_file(folder / "model.safetensors").items()):
        stem, suffix = name.removeprefix("bert.").rsplit(".", 1)
        if stem not in names:  # position_ids, pooler
            continue
        writer.add_tensor(f"{names[stem]}.{suffix}", tensor.astype(np.float32))
    finish(writer)


ATTENTION = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
             "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
             "self_attn.k_norm": "attn_k_norm", "self_attn.sinks": "attn_sinks"}
GLOBAL = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def moe_writer(name, architecture, folder, config):
    writer = new_writer(name, architecture, folder, config)
    writer.add_head_count_kv(config["num_key_value_heads"])
    if config.get("head_dim"):
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config.get("rms_norm_eps", 1e-6 if architecture == "qwen3moe" else 1e-5))
    writer.add_rope_freq_base(config.get("rope_theta", 1e6 if architecture == "llama" else 10000.0))
    writer.add_expert_count(config.get("num_local_experts", config.get("num_experts")))
    writer.add_expert_used_count(config["num_experts_per_tok"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    return writer


def float32(folder):
    """The checkpoint's tensors as float32, whatever they are stored as."""
    from safetensors import safe_open
    with safe_open(folder / "model.safetensors", "pt") as file:
        return {name: file.get_tensor(name) if "_blocks" in name or "_scales" in name else
                file.get_tensor(name).float() for name in file.keys()}


def stacked_experts(tensors, pattern, experts):
    return np.stack([tensors.pop(pattern.format(e)).numpy() for e in range(experts)])


def export_moe(name, architecture, model, router, expert, parts, half=np.float16):
    """Mixtures whose experts have tensors of their own."""
    folder = MODELS / model
    config = json.loads((folder / "config.json").read_text())
    writer = moe_writer(name, architecture, folder, config)
    if "moe_intermediate_size" in config:
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    tensors = float32(folder)
    experts = config.get("num_local_experts", config.get("num_experts"))
    for layer in range(config["num_hidden_layers"]):
        for hf, gguf in parts.items():
            stack = stacked_experts(tensors, f"model.layers.{layer}.{expert}.{{}}.{hf}.weight", experts)
            writer.add_tensor(f"blk.{layer}.{gguf}.weight", stack.astype(half))
    names = {**ATTENTION, "post_attention_layernorm": "ffn_norm", router: "ffn_gate_inp"}
    add_plain(writer, tensors, names, config, half, architecture == "llama")
    finish(writer)


def add_plain(writer, tensors, names, config, half, permuted):
    for name, tensor in sorted(tensors.items()):
        stem, suffix = name.rsplit(".", 1) if name.endswith((".weight", ".bias")) else (name, "weight")
        if stem in GLOBAL:
            target = GLOBAL[stem]
        else:
            _, _, layer, part = stem.split(".", 3)
            target = f"blk.{layer}.{names[part]}"
        values = tensor.numpy()
        if permuted and "q_proj" in name:
            values = permute(values, config["num_attention_heads"])
        if permuted and "k_proj" in name:
            values = permute(values, config["num_key_value_heads"])
        plain = values.ndim == 1 or "ffn_gate_inp" in target  # the converter keeps these in F32
        writer.add_tensor(f"{target}.{suffix}", np.ascontiguousarray(values.astype(np.float32 if plain else half)))


def ggml_mxfp4(blocks, scales):
    """Nibbles 2i, 2i + 1 of a byte become nibbles i, i + 16 of a block of 32; the exponent comes first."""
    codes = np.stack([blocks & 15, blocks >> 4], axis=-1).reshape(*blocks.shape[:-1], 32)
    packed = codes[..., :16] | (codes[..., 16:] << 4)
    return np.concatenate([scales[..., None], packed], axis=-1).reshape(*blocks.shape[:-2], -1)


def export_gpt_oss():
    folder = MODELS / "gpt-oss-mxfp4"
    config = json.loads((folder / "config.json").read_text())
    writer = moe_writer("gpt-oss.gguf", "gpt-oss", folder, config)
    writer.add_expert_feed_forward_length(config["intermediate_size"])
    writer.add_sliding_window(config["sliding_window"])
    scaling = config["rope_scaling"]
    writer.add_string("gpt-oss.rope.scaling.type", "yarn")
    writer.add_float32("gpt-oss.rope.scaling.factor", scaling["factor"])
    writer.add_uint32("gpt-oss.rope.scaling.original_context_length", scaling["original_max_position_embeddings"])
    writer.add_float32("gpt-oss.rope.scaling.yarn_beta_fast", scaling["beta_fast"])
    writer.add_float32("gpt-oss.rope.scaling.yarn_beta_slow", scaling["beta_slow"])
    tensors = float32(folder)
    for layer in range(config["num_hidden_layers"]):
        stem = f"model.layers.{layer}.mlp.experts."
        for part, targets in (("gate_up_proj", ("ffn_gate_exps", "ffn_up_exps")), ("down_proj", ("ffn_down_exps",))):
            blocks = ggml_mxfp4(tensors.pop(stem + part + "_blocks").numpy(), tensors.pop(stem + part + "_scales").numpy())
            bias = tensors.pop(stem + part + "_bias").numpy()
            for i, target in enumerate(targets):  # rows of gate and up alternate
                step = len(targets)
                writer.add_tensor(f"blk.{layer}.{target}.weight", np.ascontiguousarray(blocks[:, i::step]), raw_dtype=T.MXFP4)
                writer.add_tensor(f"blk.{layer}.{target}.bias", np.ascontiguousarray(bias[:, i::step].astype(np.float32)))
    names = {**ATTENTION, "post_attention_layernorm": "post_attention_norm", "mlp.router": "ffn_gate_inp"}
    add_plain(writer, tensors, names, config, np.float32, False)
    finish(writer)


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    export_blocks()
    export_rmse()
    export_llama()
    export_bert()
    export_moe("mixtral.gguf", "llama", "mixtral", "block_sparse_moe.gate", "block_sparse_moe.experts",
               {"w1": "ffn_gate_exps", "w3": "ffn_up_exps", "w2": "ffn_down_exps"}, np.float32)
    export_moe("qwen3-moe.gguf", "qwen3moe", "qwen3-moe", "mlp.gate", "mlp.experts",
               {"gate_proj": "ffn_gate_exps", "up_proj": "ffn_up_exps", "down_proj": "ffn_down_exps"}, np.float32)
    export_gpt_oss()
