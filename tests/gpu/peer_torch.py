"""The peer of tests/gpu/run: PyTorch and transformers over the same folders, in the same run.

    peer_torch.py DECODER_FOLDER ENCODER_FOLDER

bf16, SDPA; the decoder with a static cache and a compiled forward pass. Prints one JSON object a line.
"""

import json
import statistics
import sys
import time

import torch
from transformers import AutoModel, AutoModelForCausalLM, StaticCache


def seconds(body, repeats=5):
    body()
    times = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        start = time.perf_counter()
        body()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@torch.inference_mode()
def decoder(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.bfloat16, attn_implementation="sdpa").cuda()
    ids = torch.randint(0, 90, (1, 2048), device="cuda")
    print(json.dumps({"decoder": folder, "prompt_tokens_per_s": round(2048 / seconds(lambda: model(ids, use_cache=False, logits_to_keep=1)))}))
    cache = StaticCache(config=model.config, max_batch_size=1, max_cache_len=2048 + 256, device="cuda", dtype=torch.bfloat16)
    model(ids, past_key_values=cache, cache_position=torch.arange(2048, device="cuda"), use_cache=True, logits_to_keep=1)
    step = torch.compile(model, mode="reduce-overhead", fullgraph=True)
    token, position = ids[:, -1:], torch.tensor([2048], device="cuda")

    def decode():
        for _ in range(64):
            step(token, past_key_values=cache, cache_position=position, use_cache=True)

    decode()  # compiles
    print(json.dumps({"decoder": folder, "gen_tokens_per_s": round(64 / seconds(decode), 1)}))


@torch.inference_mode()
def encoder(folder):
    model = AutoModel.from_pretrained(folder, torch_dtype=torch.bfloat16, attn_implementation="sdpa").cuda()
    batch = torch.randint(5, 13, (1024, 128), device="cuda")
    mask = torch.ones_like(batch)
    once = seconds(lambda: model(batch, attention_mask=mask).last_hidden_state.mean(1))
    print(json.dumps({"encoder": folder, "texts_per_s": round(1024 / once)}))


decoder(sys.argv[1])
encoder(sys.argv[2])
