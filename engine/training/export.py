"""Writes models in the Hugging Face folder layout, each file replaced atomically."""
import json
import os
from pathlib import Path

import torch
from safetensors.torch import save_file

import common

PROMPT = {"format": "lastro-qa-v1", "begin": "<|bos|>", "passage": "<|passage|>", "question": "<|question|>",
          "answer": "<|answer|>", "none": "<|none|>", "cite": "<|cite|>", "end": "<|eos|>"}


def save_tensors(state, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(path.name + ".tmp")
    save_file(state, str(tmp), metadata={"format": "pt"})
    os.chmod(tmp, 0o644)
    os.replace(tmp, path)


def decoder(model, tokenizer, out):
    out = Path(out)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        common.write_atomic(out / name, (Path(tokenizer) / name).read_bytes())
    common.write_json(out / "config.json", model.hf_config(0, 1, 2))
    common.write_json(out / "generation_config.json", {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2, "do_sample": False,
                                                       "max_new_tokens": 256})
    common.write_json(out / "lastro_prompt.json", PROMPT)
    save_tensors(model.hf_state(), out / "model.safetensors")


def embedder(state, source, out, max_length=256):
    """`source`: the folder of the model that the encoder was initialised from (config, pooling)."""
    source, out = Path(source), Path(out)
    vocab = state["embeddings.word_embeddings.weight"].shape[0]
    config = json.loads((source / "config.json").read_text())
    config.pop("_name_or_path", None)
    config.update(vocab_size=vocab, torch_dtype="float16")
    common.write_json(out / "config.json", config)
    for name in ("modules.json", "1_Pooling/config.json"):
        common.write_atomic(out / name, (source / name).read_bytes())
    common.write_json(out / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    save_tensors({k: v.detach().to(torch.float16).contiguous().cpu() for k, v in state.items()}, out / "model.safetensors")


def reader(state, embedder, out, settings):
    """`embedder`: the folder that the reader's words and tokenizer are of; `settings`: config.json's lastro_reader. Positions beyond the
    window are left out."""
    embedder, out = Path(embedder), Path(out)
    for name in ("vocab.txt", "tokenizer.json"):
        common.write_atomic(out / name, (embedder / name).read_bytes())
    window = settings["window_tokens"]
    tokenizer = json.loads((embedder / "tokenizer_config.json").read_text())
    common.write_json(out / "tokenizer_config.json", {**tokenizer, "model_max_length": window})
    config = json.loads((embedder / "config.json").read_text())
    config.update(architectures=["LastroReader"], max_position_embeddings=window, id2label={"0": "answers"}, label2id={"answers": 0}, lastro_reader=settings)
    common.write_json(out / "config.json", config)
    key = "bert.embeddings.position_embeddings.weight"
    state = {**state, key: state[key][:window]}
    save_tensors({k: v.detach().to(torch.float16).contiguous().cpu() for k, v in state.items()}, out / "model.safetensors")
