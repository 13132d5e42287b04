"""Exports goldens of LoRA adapters: random adapters of the tiny checkpoints in models/, saved by `peft`, with the logits
that `transformers` gives with them. Every folder has the adapter, expected.safetensors and reference.json (its base).

Usage: python export_lora.py    (writes lora/ beside this file)

Exported with peft 0.17.1, transformers 4.57.6 and torch 2.15.0.
"""
import json
import shutil
from pathlib import Path

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = Path(__file__).resolve().parent
VOCAB = 72
LENGTHS = {1: 1, 17: 1, 129: 4}  # tokens -> stride of the positions that are stored

ADAPTERS = {
    "llama-all": ("llama-gqa", dict(r=4, lora_alpha=8, target_modules=[
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])),
    "llama-rs-patterns": ("llama-gqa", dict(r=3, lora_alpha=5, use_rslora=True, target_modules=["q_proj", "v_proj", "up_proj"],
                                            rank_pattern={"up_proj": 7}, alpha_pattern={"layers.1.self_attn.q_proj": 11})),
    "phi3-stacked": ("phi3-window", dict(r=5, lora_alpha=9, target_modules=["qkv_proj", "gate_up_proj", "o_proj"])),
    "neox-grouped": ("neox-parallel", dict(r=2, lora_alpha=3, target_modules=["query_key_value", "dense_4h_to_h"])),
    "gpt2-conv1d": ("gpt2", dict(r=4, lora_alpha=6, fan_in_fan_out=True, target_modules=["c_attn", "c_fc"])),
}


def export(name, seed, base, options):
    generator = torch.Generator().manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(HERE / "models" / base, torch_dtype=torch.float32, attn_implementation="eager")
    model = get_peft_model(model.eval(), LoraConfig(task_type="CAUSAL_LM", **options)).eval()
    for key, parameter in sorted(model.named_parameters()):
        if "lora_" in key:
            parameter.data = 0.7 * torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5
    folder = HERE / "lora" / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base
    config["target_modules"] = sorted(config["target_modules"])
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n")
    expected = {}
    for length, stride in LENGTHS.items():
        ids = torch.randint(3, VOCAB, (1, length), generator=generator)
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits[0]
            with model.disable_adapter():
                plain = model(input_ids=ids, use_cache=False).logits[0]
        expected[f"ids.{length}"] = ids[0].to(torch.int32)
        expected[f"logits.{length}"] = logits[::stride].contiguous()
        print(name, length, "changes logits by %.2f" % (logits - plain).abs().max())
    save_file(expected, folder / "expected.safetensors")
    (folder / "reference.json").write_text(json.dumps(
        {"base": base, "reference": f"peft {peft.__version__}, transformers {transformers.__version__}"}, indent=1) + "\n")


def main():
    torch.set_num_threads(1)
    for seed, (name, (base, options)) in enumerate(ADAPTERS.items(), 601):
        export(name, seed, base, options)


if __name__ == "__main__":
    main()
