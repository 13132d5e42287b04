"""Exports the model goldens of the families beside Llama and BERT: tiny random checkpoints, awkward on purpose, with what
`transformers` gives for them. Every folder has the checkpoint, expected.safetensors and reference.json (which family and
reference class it is).

Usage: python export_families.py [family ...]    (writes models/ beside this file; without families, all)

Exported with transformers 4.57.6 and torch 2.15.0. A new family: one entry in FAMILIES below, one card.
"""
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (BartConfig, BartForConditionalGeneration, BertConfig, BertForQuestionAnswering, BertForSequenceClassification, BloomConfig, BloomForCausalLM, DistilBertConfig,
                          DistilBertForQuestionAnswering, DistilBertForSequenceClassification, DistilBertModel, FalconConfig, FalconForCausalLM,
                          Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, GemmaConfig,
                          GemmaForCausalLM, GPT2Config, GPT2LMHeadModel, GptOssConfig, GptOssForCausalLM, GPTNeoXConfig, GPTNeoXForCausalLM,
                          MistralConfig, MistralForCausalLM, MixtralConfig, MixtralForCausalLM, ModernBertConfig, ModernBertForSequenceClassification,
                          ModernBertModel, MptConfig, MptForCausalLM, Phi3Config, Phi3ForCausalLM, Qwen2Config,
                          Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM, Qwen3Model, Qwen3MoeConfig, Qwen3MoeForCausalLM, RobertaConfig, RobertaForQuestionAnswering, RobertaModel, T5Config, T5ForConditionalGeneration,
                          XLMRobertaConfig, XLMRobertaForSequenceClassification, XLMRobertaModel)

from export_models import bert_texts, word_piece_tokenizer

OUT = Path(__file__).resolve().parent / "models"
PROMPT_LENGTHS = {1: 1, 17: 1, 129: 4, 300: 9}  # tokens -> stride of the positions that are stored
VOCAB = 72  # wider than the tokenizer's, as in padded checkpoints
IDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}


def randomize(model, seed):
    """Every parameter random, biases and norms too: a default of 0 or 1 would hide a missing term."""
    generator = torch.Generator().manual_seed(seed)
    kinds = {}
    for prefix, module in model.named_modules():
        for name, _ in module.named_parameters(recurse=False):
            kinds[f"{prefix}.{name}"] = type(module).__name__
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        kind = kinds[name]
        if "Norm" in kind and name.endswith("weight"):
            parameter.data = 0.2 * noise + (0 if kind.startswith("Gemma") else 1)
        elif "Embedding" in kind:
            parameter.data = 0.5 * noise
        elif parameter.dim() == 1 or name.endswith("bias"):
            parameter.data = 0.2 * noise
        else:
            fan_in = parameter.shape[-2] if kind == "Conv1D" or parameter.dim() == 3 else parameter.shape[-1]
            wide = 4 if name.endswith("experts.gate_up_proj") else 1  # so that the clamps are met
            parameter.data = 1.2 * wide * noise / fan_in ** 0.5


def store_as(model, dtype):
    """Rounds the weights to `dtype` and computes with the rounded values in fp32 from here on. A tensor that is another
    one again (a tied head) is stored once."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype).float()
    stored, seen = {}, set()
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if parameter.data_ptr() not in seen:
            seen.add(parameter.data_ptr())
            stored[name] = parameter.data.to(dtype).contiguous()
    return stored


E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])


def take_mxfp4_experts(model):
    """Rounds the experts of gpt-oss to MXFP4 in place; returns the tensors of the quantised checkpoint: rows of outputs,
    runs of 32 inputs, two values a byte with the lower half first, scales 2^(byte - 127)."""
    tensors = {}
    for name, parameter in model.named_parameters():
        if not name.endswith(("gate_up_proj", "down_proj")) or parameter.dim() != 3:
            continue
        runs = parameter.data.transpose(1, 2).unflatten(-1, (-1, 32))  # [experts, out, runs, 32]
        exponent = torch.floor(torch.log2(runs.abs().amax(-1, keepdim=True))) - 2
        scaled = runs / 2 ** exponent
        code = (scaled.abs().unsqueeze(-1) - E2M1).abs().argmin(-1)
        negative = scaled < 0
        values = torch.where(negative, -E2M1[code], E2M1[code]) * 2 ** exponent
        parameter.data = values.flatten(-2).transpose(1, 2).contiguous()
        code = code + 8 * negative
        tensors[name + "_blocks"] = (code[..., 0::2] + 16 * code[..., 1::2]).to(torch.uint8).contiguous()
        tensors[name + "_scales"] = (exponent.squeeze(-1) + 127).to(torch.uint8).contiguous()
    return tensors


def tiny_tokenizer():
    """Byte-level BPE over some ASCII: the goldens of decoders are ids, not text."""
    pieces = ["<s>", "</s>", "<pad>", "\u010a", "\u0120", *"abcdefghijklmnopqrstuvwxyz", *"0123456789", *".,?!"]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(pieces[:3])
    return tokenizer


def word_pieces():
    """BERT's kind, with the pair template."""
    tokenizer, _ = word_piece_tokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def roberta_pieces(pad_id):
    """RoBERTa's kind: byte-level BPE, <s> a </s></s> b </s>."""
    pieces = ["<s>", "</s>", "\u0120", *"abcdefghijklmnopqrstuvwxyz", *".,?!"]
    pieces.insert(pad_id, "<pad>")
    merges = [("t", "h"), ("th", "e"), ("\u0120", "the"), ("e", "r")]
    pieces += [a + b for a, b in merges]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", pieces.index("</s>")), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>"])
    return tokenizer


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def config_json(config, edit=None):
    """As save_pretrained writes it: only what differs from the family's defaults."""
    written = json.loads(config.to_json_string(use_diff=True))
    for key in ("transformers_version", "dtype", "torch_dtype", "architectures"):
        written.pop(key, None)
    if edit:
        edit(written)
    return written


def perturbation(config, key, value):
    """[from, to]: an edit of config.json that changes one fact, which must show in the results."""
    *outer, last = key.split(".")
    inner, opening = config, "{"
    for part in outer:
        inner, opening = inner[part], f'"{part}": {{'
    field = f'"{last}": '
    if last not in inner:
        return [opening, f"{opening} {field}{json.dumps(value)},"]
    return [field + json.dumps(inner[last]), field + json.dumps(value)]


def write_checkpoint(name, seed, model, family, dtype, edit, perturb, mxfp4_experts=False):
    randomize(model, seed)
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    experts = take_mxfp4_experts(model) if mxfp4_experts else {}
    stored = {key: value for key, value in store_as(model, dtype).items() if key + "_blocks" not in experts}
    save_file({**stored, **experts}, folder / "model.safetensors", {"format": "pt"})
    config = config_json(model.config, edit)
    if mxfp4_experts:
        config["quantization_config"] = {"quant_method": "mxfp4"}
    write_json(folder / "config.json", config)
    write_json(folder / "reference.json", {
        "family": family, "model": type(model).__name__, "reference": f"transformers {transformers.__version__}",
        "perturbations": [perturbation(config, key, value) for key, value in (perturb or {}).items()]})
    return folder


def export_decoder(name, seed, family, model_class, config, dtype=torch.bfloat16, edit=None, perturb=None,
                   attention="eager", mxfp4_experts=False):
    """`perturb` maps fields of config.json to other values, each of which must change the logits."""
    config._attn_implementation = attention
    model = model_class(config).eval()
    folder = write_checkpoint(name, seed, model, family, dtype, edit, perturb, mxfp4_experts)
    tiny_tokenizer().save(str(folder / "tokenizer.json"), pretty=False)
    expected = {}
    generator = torch.Generator().manual_seed(seed + 1)
    for length, stride in PROMPT_LENGTHS.items():
        ids = torch.randint(3, VOCAB, (1, length), generator=generator)
        with torch.no_grad():
            logits = model(ids, use_cache=False).logits[0]
        expected[f"ids.{length}"] = ids[0].to(torch.int32)
        expected[f"logits.{length}"] = logits[::stride].contiguous()
        print(name, length, "logits: std %.2f" % logits.std())
    save_file(expected, folder / "expected.safetensors")


def plain_texts():
    """For tokenizers that know ASCII letters only."""
    return [text for text in bert_texts() if text.isascii() and text == text.lower() and len(text) < 300]


def encoder_output(model, tokenizer, text):
    with torch.no_grad():
        return model(torch.tensor([tokenizer.encode(text).ids])).last_hidden_state[0]


def export_encoder(name, seed, family, model_class, config, tokenizer, pooling, normalize, texts, dtype=torch.bfloat16,
                   prompts=None, edit=None, perturb=None, **options):
    config._attn_implementation = "eager"
    model = model_class(config, **options).eval()
    folder = write_checkpoint(name, seed, model, family, dtype, edit, perturb)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling")] + ([("2_Normalize", "Normalize")] if normalize else [])
    write_json(folder / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": "sentence_transformers.models." + kind}
        for i, (path, kind) in enumerate(kinds)])
    modes = {"cls": "cls_token", "mean": "mean_tokens", "last": "lasttoken"}
    write_json(folder / "1_Pooling" / "config.json", {
        "word_embedding_dimension": config.hidden_size,
        **{"pooling_mode_" + mode: pooling == key for key, mode in modes.items()}})
    if prompts:
        write_json(folder / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": None})
    vectors = []
    for text in texts:
        hidden = encoder_output(model, tokenizer, text)
        vector = {"cls": hidden[0], "mean": hidden.mean(0), "last": hidden[-1]}[pooling]
        vectors.append(vector / vector.norm() if normalize else vector)
    write_json(folder / "texts.json", texts)
    save_file({"vectors": torch.stack(vectors)}, folder / "expected.safetensors")
    print(name, "vectors:", len(vectors), "longest", max(len(tokenizer.encode(t).ids) for t in texts))


def export_classifier(name, seed, family, model_class, config, tokenizer, dtype=torch.bfloat16, edit=None, perturb=None):
    """Logits of texts and of pairs of texts."""
    config._attn_implementation = "eager"
    model = model_class(config).eval()
    folder = write_checkpoint(name, seed, model, family, dtype, edit, perturb)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    texts = [text for text in plain_texts() if text]
    pairs = [[text, None] for text in texts] + [[texts[i - 1], text] for i, text in enumerate(texts)]
    scores = []
    for first, second in pairs:
        encoding = tokenizer.encode(first, second) if second is not None else tokenizer.encode(first)
        inputs = {"input_ids": torch.tensor([encoding.ids])}
        if getattr(config, "type_vocab_size", 0) > 1:
            inputs["token_type_ids"] = torch.tensor([encoding.type_ids])
        with torch.no_grad():
            scores.append(model(**inputs).logits[0])
    write_json(folder / "pairs.json", pairs)
    save_file({"scores": torch.stack(scores)}, folder / "expected.safetensors")
    print(name, "scores: std %.2f" % torch.stack(scores).std())


class LastroReader(BertForSequenceClassification):
    """Lastro's readers: a cross-encoder with a map to start and end beside its classifier (engine/training/reader_model.py)."""

    def __init__(self, config):
        super().__init__(config)
        self.qa_outputs = torch.nn.Linear(config.hidden_size, 2)

    def forward(self, **inputs):
        out = self.bert(**inputs)
        start, end = self.qa_outputs(out.last_hidden_state).unbind(-1)
        return SimpleNamespace(relevance=self.classifier(out.pooler_output)[0, 0], start_logits=start, end_logits=end)


def read_windows(model, tokenizer, question, passage, context, limits):
    """(relevance or None, [(score, first, last)] of all spans) of a passage read in windows; tokens of the whole passage."""
    frame = tokenizer.encode(question, "")  # special tokens stand around both
    specials = sum(frame.special_tokens_mask)
    asked = tokenizer.encode(question, add_special_tokens=False).ids[:limits["question_tokens"]]
    above = tokenizer.encode(context + ":", add_special_tokens=False).ids[-limits["context_tokens"]:] if context else []
    tokens = tokenizer.encode(passage, add_special_tokens=False)
    room = limits["window_tokens"] - specials - len(asked) - len(above)
    relevance, spans, at = [], [], 0
    while True:
        part = tokens.ids[at:at + room]
        ids = [frame.ids[0], *asked, *frame.ids[len(frame.ids) - specials + 1:-1], *above, *part, frame.ids[-1]]
        first = len(ids) - len(part) - 1
        inputs = {"input_ids": torch.tensor([ids])}
        if getattr(model.config, "type_vocab_size", 0) > 1:
            inputs["token_type_ids"] = torch.tensor([[0] * first + [1] * (len(ids) - first)])
        with torch.no_grad():
            out = model(**inputs)
        start, end = out.start_logits[0].tolist(), out.end_logits[0].tolist()
        relevance.append(getattr(out, "relevance", None))
        spans += [(start[first + i] + end[first + j] - start[0] - end[0], at + i, at + j)
                  for i in range(len(part)) for j in range(i, min(len(part), i + limits["answer_tokens"]))]
        if at + room >= len(tokens.ids):
            return None if relevance[0] is None else max(r.item() for r in relevance), spans, tokens.offsets
        at += room - limits["overlap_tokens"]


def export_reader(name, seed, family, model_class, config, tokenizer, dtype=torch.bfloat16, limits=None, perturb=None):
    """Readings of pairs (question, passage, context where the model reads one): relevance, probability, then bytes and score of the two best spans that do not
    overlap, NaN where there is no second."""
    config._attn_implementation = "eager"
    model = model_class(config).eval()
    written = limits and {**limits, "relevance_weight": 0.5, "span_weight": 0.25, "bias": -0.125}
    folder = write_checkpoint(name, seed, model, family, dtype, lambda c: written and c.update(lastro_reader=written), perturb)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    texts = [text for text in plain_texts() if text.strip()]
    pairs = [[texts[i - 1], text] for i, text in enumerate(texts)]
    pairs.append([texts[0], " ".join(texts)])
    if limits and "context_tokens" in limits:
        pairs += [[*pair, texts[i - 3]] for i, pair in enumerate(pairs)]
    readings = []
    most = config.max_position_embeddings - (2 if "roberta" in config.model_type else 0)
    used = limits or {"window_tokens": most, "overlap_tokens": min(128, most // 3), "question_tokens": min(64, most // 3), "answer_tokens": 30}
    for question, passage, *context in pairs:
        relevance, spans, offsets = read_windows(model, tokenizer, question, passage, "".join(context), used)
        best = max(spans)
        apart = max((s for s in spans if s[2] < best[1] or s[1] > best[2]), default=None)
        relevance = best[0] if relevance is None else relevance
        logit = 0.5 * relevance + 0.25 * best[0] - 0.125 if written else best[0]
        row = [relevance, 1 / (1 + math.exp(-logit))]
        for span in (best, apart):
            row += [offsets[span[1]][0], offsets[span[2]][1], span[0]] if span else [math.nan] * 3
        readings.append(row)
    write_json(folder / "pairs.json", pairs)
    save_file({"readings": torch.tensor(readings)}, folder / "expected.safetensors")
    print(name, "readings:", len(readings), "probabilities", [round(r[1], 2) for r in readings])


def export_seq2seq(name, seed, family, model_class, config, dtype=torch.bfloat16, perturb=None, steps=16):
    """Greedy targets of sources of several lengths, and the logits at each step."""
    config._attn_implementation = "eager"
    model = model_class(config).eval()
    folder = write_checkpoint(name, seed, model, family, dtype, None, perturb)
    generator = torch.Generator().manual_seed(seed + 1)
    if hasattr(model, "final_logits_bias"):
        model.final_logits_bias = 0.5 * torch.randn(model.final_logits_bias.shape, generator=generator)
        stored = load_file(folder / "model.safetensors")
        stored["final_logits_bias"] = model.final_logits_bias
        save_file(stored, folder / "model.safetensors", {"format": "pt"})
    tiny_tokenizer().save(str(folder / "tokenizer.json"), pretty=False)
    expected = {}
    for length in (1, 17, 129):
        source = torch.randint(3, VOCAB, (1, length), generator=generator)
        target = [config.decoder_start_token_id]
        for _ in range(steps):
            with torch.no_grad():
                logits = model(input_ids=source, decoder_input_ids=torch.tensor([target])).logits[0]
            target.append(int(logits[-1].argmax()))
        expected[f"source.{length}"] = source[0].to(torch.int32)
        expected[f"target.{length}"] = torch.tensor(target, dtype=torch.int32)
        expected[f"target_logits.{length}"] = logits.contiguous()
        print(name, length, "logits: std %.2f" % logits.std(), "distinct", len(set(target)))
    save_file(expected, folder / "expected.safetensors")


def sizes(hidden, inner, layers, heads, kv_heads=None, **options):
    common = dict(vocab_size=VOCAB, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers,
                  num_attention_heads=heads, max_position_embeddings=512, **IDS)
    if kv_heads is not None:
        common["num_key_value_heads"] = kv_heads
    return {**common, **options}


def use_rope_parameters(config):
    """The spelling of transformers 5, where layers differ."""
    config["rope_parameters"] = {
        "full_attention": {**config.pop("rope_scaling"), "rope_theta": config.pop("rope_theta")},
        "sliding_attention": {"rope_type": "default", "rope_theta": config.pop("rope_local_base_freq")}}


def without_layer_types(config):
    """As files from before layer_types existed."""
    config.pop("layer_types")


def mistral():
    export_decoder("mistral-window", 101, "Mistral", MistralForCausalLM, MistralConfig(
        **sizes(32, 40, 2, 6, 2, head_dim=10, sliding_window=13, rope_theta=900.0)), perturb={"sliding_window": 14, "rope_theta": 1000.0})
    export_decoder("mistral-tied-f16", 102, "Mistral", MistralForCausalLM, MistralConfig(
        **sizes(40, 36, 2, 5, 5, sliding_window=None, tie_word_embeddings=True)), torch.float16, perturb={"sliding_window": 290})


def qwen2():
    export_decoder("qwen2-tied", 111, "Qwen2", Qwen2ForCausalLM, Qwen2Config(
        **sizes(36, 40, 2, 6, 3, tie_word_embeddings=True, sliding_window=9)),
        perturb={"rope_theta": 20000.0})  # a window is there and not used
    export_decoder("qwen2-upper-windows", 112, "Qwen2", Qwen2ForCausalLM, Qwen2Config(
        **sizes(40, 36, 3, 4, 2, use_sliding_window=True, sliding_window=20, max_window_layers=1)), edit=without_layer_types,
        perturb={"sliding_window": 21, "max_window_layers": 2, "use_sliding_window": False})
    export_decoder("qwen2-yarn", 113, "Qwen2 (YaRN)", Qwen2ForCausalLM, Qwen2Config(
        **sizes(48, 40, 2, 3, 1, max_position_embeddings=80, rope_scaling={
            "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 80})),
        perturb={"rope_scaling.factor": 4.5, "rope_scaling.original_max_position_embeddings": 400,
                 "rope_scaling.attention_factor": 1.0, "rope_scaling.truncate": False, "rope_scaling.beta_fast": 2,
                 "rope_scaling.beta_slow": 0.3})


def qwen3():
    export_decoder("qwen3-tied", 121, "Qwen3", Qwen3ForCausalLM, Qwen3Config(
        **sizes(32, 40, 2, 6, 3, head_dim=14, tie_word_embeddings=True, rope_theta=1e6)),
        perturb={"rms_norm_eps": 1e-2, "rope_theta": 1e5})
    export_decoder("qwen3-bias-dynamic", 122, "Qwen3 (dynamic NTK)", Qwen3ForCausalLM, Qwen3Config(
        **sizes(36, 40, 3, 5, 1, head_dim=12, attention_bias=True, max_position_embeddings=60,
                use_sliding_window=True, sliding_window=30,
                layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                rope_scaling={"rope_type": "dynamic", "factor": 8.0})),
        perturb={"sliding_window": 31, "rope_scaling.factor": 9.0, "max_position_embeddings": 70})
    export_decoder("qwen3-untied-f16", 123, "Qwen3", Qwen3ForCausalLM, Qwen3Config(
        **sizes(40, 36, 3, 5, 5, head_dim=18, rope_theta=5000.0)), torch.float16, perturb={"rope_theta": 6000.0})


def gemma():
    export_decoder("gemma", 131, "Gemma", GemmaForCausalLM, GemmaConfig(
        **sizes(32, 40, 2, 3, 1, head_dim=14)), perturb={"hidden_activation": "silu"})
    export_decoder("gemma-heads-f16", 136, "Gemma", GemmaForCausalLM, GemmaConfig(
        **sizes(40, 36, 3, 4, 4, head_dim=12, rope_theta=700.0)), torch.float16, perturb={"rope_theta": 800.0})
    export_decoder("gemma2-caps", 132, "Gemma 2", Gemma2ForCausalLM, Gemma2Config(
        **sizes(32, 40, 3, 4, 2, head_dim=16, query_pre_attn_scalar=10, sliding_window=13,
                attn_logit_softcapping=2.0, final_logit_softcapping=3.0)), edit=without_layer_types,
        perturb={"sliding_window": 12, "attn_logit_softcapping": 2.1, "final_logit_softcapping": 3.1,
                 "query_pre_attn_scalar": 11})
    export_decoder("gemma2-no-caps", 133, "Gemma 2", Gemma2ForCausalLM, Gemma2Config(
        **sizes(40, 36, 2, 5, 5, head_dim=10, sliding_window=40, attn_logit_softcapping=None,
                final_logit_softcapping=None)),
        perturb={"sliding_window": 41, "attn_logit_softcapping": 9.0, "final_logit_softcapping": 30.0})
    export_decoder("gemma3-pattern", 134, "Gemma 3", Gemma3ForCausalLM, Gemma3TextConfig(
        **sizes(32, 40, 4, 4, 1, head_dim=16, query_pre_attn_scalar=24, sliding_window=9, sliding_window_pattern=3,
                rope_local_base_freq=500.0, rope_scaling={"rope_type": "linear", "factor": 4.0})), edit=without_layer_types,
        perturb={"sliding_window": 10, "sliding_window_pattern": 4, "rope_local_base_freq": 600.0,
                 "rope_scaling.factor": 4.5, "rope_theta": 10000.0})
    export_decoder("gemma3-layer-types", 135, "Gemma 3", Gemma3ForCausalLM, Gemma3TextConfig(
        **sizes(40, 36, 3, 3, 3, head_dim=12, query_pre_attn_scalar=12, sliding_window=33, rope_theta=70000.0,
                layer_types=["full_attention", "sliding_attention", "full_attention"], rope_local_base_freq=300.0,
                rope_scaling={"rope_type": "linear", "factor": 2.0})), edit=use_rope_parameters,
        perturb={"sliding_window": 34, "rope_parameters.full_attention.factor": 2.1,
                 "rope_parameters.full_attention.rope_theta": 60000.0,
                 "rope_parameters.sliding_attention.rope_theta": 310.0})


def phi3():
    factors = [1.0, 1.1, 1.5, 2.0, 3.5, 6.0]
    export_decoder("phi3-longrope", 141, "Phi-3", Phi3ForCausalLM, Phi3Config(
        **sizes(48, 40, 2, 3, 1, partial_rotary_factor=0.75, original_max_position_embeddings=64, rope_scaling={
            "type": "longrope", "short_factor": factors, "long_factor": [4 * f for f in factors]})),
        perturb={"original_max_position_embeddings": 16, "max_position_embeddings": 640})
    export_decoder("phi3-window", 142, "Phi-3", Phi3ForCausalLM, Phi3Config(
        **sizes(40, 36, 2, 4, 2, sliding_window=17, tie_word_embeddings=True, original_max_position_embeddings=512)),
        perturb={"sliding_window": 16, "partial_rotary_factor": 0.8})


def gpt2():
    common = dict(vocab_size=VOCAB, n_positions=300, **IDS)
    export_decoder("gpt2", 201, "GPT-2", GPT2LMHeadModel, GPT2Config(n_embd=36, n_layer=2, n_head=3, **common),
                   perturb={"activation_function": "relu"})
    export_decoder("gpt2-inner-untied-f16", 202, "GPT-2", GPT2LMHeadModel, GPT2Config(
        n_embd=40, n_layer=2, n_head=5, n_inner=56, tie_word_embeddings=False, **common), torch.float16,
        perturb={"layer_norm_epsilon": 1e-2})


def without_derived(config):
    """As the hub's files: rotary_pct and rotary_emb_base only."""
    del config["partial_rotary_factor"], config["rope_theta"]


def gpt_neox():
    export_decoder("neox-parallel", 211, "GPT-NeoX", GPTNeoXForCausalLM, GPTNeoXConfig(
        **sizes(48, 40, 2, 3, rotary_pct=0.4, rotary_emb_base=900)),  # int(16 * 0.4) = 6
        edit=without_derived, perturb={"rotary_pct": 0.5, "rotary_emb_base": 1000, "use_parallel_residual": False})
    export_decoder("neox-serial-tied", 212, "GPT-NeoX", GPTNeoXForCausalLM, GPTNeoXConfig(
        **sizes(40, 36, 2, 5, rotary_pct=1.0, use_parallel_residual=False, attention_bias=False,
                tie_word_embeddings=True, hidden_act="gelu_fast")),
        perturb={"use_parallel_residual": True, "hidden_act": "relu"})


def falcon():
    def config(hidden, layers, heads, **options):
        return FalconConfig(vocab_size=VOCAB, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
                            max_position_embeddings=512, **IDS, **options)
    export_decoder("falcon-multi-query", 221, "Falcon (7B)", FalconForCausalLM, config(
        40, 2, 5, multi_query=True), perturb={"rope_theta": 9000.0})
    export_decoder("falcon-multi-query-serial-f16", 225, "Falcon (7B)", FalconForCausalLM, config(
        48, 3, 3, multi_query=True, parallel_attn=False, bias=True, rope_theta=500.0), torch.float16,
        perturb={"rope_theta": 600.0})
    export_decoder("falcon-grouped", 222, "Falcon (40B)", FalconForCausalLM, config(
        36, 2, 6, num_kv_heads=2, new_decoder_architecture=True, ffn_hidden_size=50, tie_word_embeddings=False))
    export_decoder("falcon-grouped-bias", 226, "Falcon (40B)", FalconForCausalLM, config(
        60, 3, 6, num_kv_heads=3, new_decoder_architecture=True, bias=True, rope_theta=2000.0),
        perturb={"rope_theta": 3000.0})
    export_decoder("falcon-grouped-one-norm", 223, "Falcon (11B)", FalconForCausalLM, config(
        32, 2, 4, num_kv_heads=4, new_decoder_architecture=True, num_ln_in_parallel_attn=1, ffn_hidden_size=40))
    export_decoder("falcon-grouped-one-norm-f16", 227, "Falcon (11B)", FalconForCausalLM, config(
        40, 3, 10, num_kv_heads=5, new_decoder_architecture=True, num_ln_in_parallel_attn=1, ffn_hidden_size=44,
        tie_word_embeddings=False), torch.float16, perturb={"layer_norm_epsilon": 1e-2})
    export_decoder("falcon-rw-alibi", 224, "Falcon (RW, ALiBi)", FalconForCausalLM, config(
        36, 2, 6, alibi=True, multi_query=False, parallel_attn=False, bias=True), perturb={"alibi": False},
        attention="sdpa")  # this version's eager path adds ALiBi twice
    export_decoder("falcon-rw-alibi-parallel", 228, "Falcon (RW, ALiBi)", FalconForCausalLM, config(
        40, 3, 5, alibi=True, multi_query=False, parallel_attn=True, bias=False, ffn_hidden_size=44), attention="sdpa",
        perturb={"alibi": False, "layer_norm_epsilon": 1e-2})


def mpt():
    def config(width, heads, attention):
        return MptConfig(d_model=width, n_heads=heads, n_layers=2, max_seq_len=512, vocab_size=VOCAB,
                         attn_config=attention)
    export_decoder("mpt", 231, "MPT", MptForCausalLM, config(36, 6, {"alibi": True}),
                   perturb={"attn_config.alibi_bias_max": 9})
    export_decoder("mpt-clip-scale", 232, "MPT", MptForCausalLM, config(
        32, 4, {"alibi": True, "clip_qkv": 0.7, "softmax_scale": 0.9}),  # the reference leaves alibi_bias_max out
        perturb={"attn_config.clip_qkv": 0.75, "attn_config.softmax_scale": 0.8})


def bloom():
    common = dict(vocab_size=VOCAB, seq_length=512, **IDS)
    export_decoder("bloom", 241, "BLOOM", BloomForCausalLM, BloomConfig(hidden_size=36, n_layer=2, n_head=6, **common),
                   perturb={"layer_norm_epsilon": 1e-2})
    export_decoder("bloom-f32", 242, "BLOOM", BloomForCausalLM, BloomConfig(
        hidden_size=24, n_layer=2, n_head=4, **common), torch.float32)


def roberta():
    def config(config_class, tokenizer, hidden, layers, heads, pad_id, **options):
        return config_class(**{**sizes(hidden, 40, layers, heads), "vocab_size": tokenizer.get_vocab_size(),
                               "pad_token_id": pad_id, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
                               "max_position_embeddings": 290, **options})
    tokenizer = roberta_pieces(1)
    export_encoder("roberta-mean", 301, "RoBERTa", RobertaModel, config(
        RobertaConfig, tokenizer, 36, 2, 3, 1), tokenizer, "mean", True, plain_texts(),
        prompts={"query": "query: ", "passage": "passage: "}, perturb={"pad_token_id": 0}, add_pooling_layer=False)
    export_encoder("roberta-cls-f16", 304, "RoBERTa", RobertaModel, config(
        RobertaConfig, tokenizer, 40, 3, 5, 1, hidden_act="gelu_new"), tokenizer, "cls", True, plain_texts(),
        torch.float16, perturb={"hidden_act": "relu"}, add_pooling_layer=False)
    tokenizer = roberta_pieces(5)
    export_encoder("xlm-roberta-cls", 302, "XLM-RoBERTa", XLMRobertaModel, config(
        XLMRobertaConfig, tokenizer, 40, 2, 5, 5), tokenizer, "cls", False, plain_texts(), add_pooling_layer=False)
    export_encoder("xlm-roberta-mean-f16", 305, "XLM-RoBERTa", XLMRobertaModel, config(
        XLMRobertaConfig, tokenizer, 36, 3, 6, 5), tokenizer, "mean", True, plain_texts(), torch.float16,
        prompts={"query": "query: ", "passage": "passage: "}, perturb={"layer_norm_eps": 1e-2}, add_pooling_layer=False)
    tokenizer = roberta_pieces(1)
    export_classifier("roberta-pairs", 303, "XLM-RoBERTa cross-encoder", XLMRobertaForSequenceClassification, config(
        XLMRobertaConfig, tokenizer, 32, 2, 4, 1, num_labels=1), tokenizer)
    export_classifier("roberta-pairs-f16", 306, "XLM-RoBERTa cross-encoder", XLMRobertaForSequenceClassification, config(
        XLMRobertaConfig, tokenizer, 36, 3, 3, 1, num_labels=2, hidden_act="gelu_new"), tokenizer, torch.float16,
        perturb={"hidden_act": "relu"})
    export_reader("roberta-spans", 344, "RoBERTa reader", RobertaForQuestionAnswering, config(
        RobertaConfig, tokenizer, 32, 2, 4, 1), tokenizer, limits={
            "window_tokens": 40, "overlap_tokens": 10, "question_tokens": 20, "answer_tokens": 6})


def bert():
    def config(tokenizer, **options):
        return BertConfig(**{**sizes(36, 40, 2, 3), "vocab_size": tokenizer.get_vocab_size(),
                             "max_position_embeddings": 290, **options})
    tokenizer = word_pieces()
    export_classifier("bert-pairs", 311, "BERT cross-encoder", BertForSequenceClassification, config(
        tokenizer, num_labels=1), tokenizer)
    export_classifier("bert-pairs-f32", 315, "BERT cross-encoder", BertForSequenceClassification, config(
        tokenizer, hidden_size=40, num_attention_heads=5, num_hidden_layers=3, num_labels=1, layer_norm_eps=1e-6),
        tokenizer, torch.float32, perturb={"layer_norm_eps": 1e-2})
    export_classifier("bert-labels", 312, "BERT classifier", BertForSequenceClassification, config(
        tokenizer, num_labels=3, hidden_act="gelu_new"), tokenizer, torch.float16, perturb={"hidden_act": "relu"})
    export_classifier("bert-labels-deep", 316, "BERT classifier", BertForSequenceClassification, config(
        tokenizer, hidden_size=24, num_attention_heads=2, num_hidden_layers=4, num_labels=5, type_vocab_size=3),
        tokenizer, perturb={"layer_norm_eps": 1e-2})
    export_reader("bert-spans", 341, "BERT reader", BertForQuestionAnswering, config(tokenizer), tokenizer)
    export_reader("bert-reader", 342, "Lastro reader", LastroReader, config(tokenizer, num_labels=1), tokenizer, torch.float16,
                  {"window_tokens": 32, "overlap_tokens": 8, "question_tokens": 12, "context_tokens": 4, "answer_tokens": 5}, perturb={
                      "lastro_reader.window_tokens": 28, "lastro_reader.overlap_tokens": 3, "lastro_reader.question_tokens": 5, "lastro_reader.context_tokens": 2,
                      "lastro_reader.answer_tokens": 2, "lastro_reader.bias": 1.5})
    small = dict(dim=36, n_layers=2, n_heads=3, hidden_dim=40, vocab_size=tokenizer.get_vocab_size(),
                 max_position_embeddings=290)
    export_encoder("distilbert-mean", 313, "DistilBERT", DistilBertModel, DistilBertConfig(**small), tokenizer, "mean",
                   False, bert_texts())
    other = dict(dim=40, n_layers=3, n_heads=5, hidden_dim=36, vocab_size=tokenizer.get_vocab_size(),
                 max_position_embeddings=290)
    export_encoder("distilbert-cls-f16", 317, "DistilBERT", DistilBertModel, DistilBertConfig(
        **other, activation="relu"), tokenizer, "cls", True, bert_texts(), torch.float16, perturb={"activation": "gelu"})
    export_classifier("distilbert-labels-f16", 318, "DistilBERT classifier", DistilBertForSequenceClassification,
                      DistilBertConfig(**other, num_labels=4), tokenizer, torch.float16, perturb={"activation": "relu"})
    export_classifier("distilbert-labels", 314, "DistilBERT classifier", DistilBertForSequenceClassification,
                      DistilBertConfig(**small, num_labels=2), tokenizer)
    export_reader("distilbert-spans", 343, "DistilBERT reader", DistilBertForQuestionAnswering, DistilBertConfig(**small), tokenizer)


def modernbert():
    tokenizer = word_pieces()
    def config(hidden, layers, heads, **options):
        return ModernBertConfig(**{**sizes(hidden, 40, layers, heads), "vocab_size": tokenizer.get_vocab_size(),
                                   "pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "reference_compile": False,
                                   **options})
    export_encoder("modernbert-mean", 321, "ModernBERT", ModernBertModel, config(
        36, 4, 3, local_attention=14, global_rope_theta=9000.0, local_rope_theta=700.0), tokenizer, "mean", True,
        bert_texts(), perturb={"local_attention": 16, "global_rope_theta": 8000.0, "local_rope_theta": 800.0,
                               "global_attn_every_n_layers": 2})
    export_encoder("modernbert-biased-cls", 322, "ModernBERT", ModernBertModel, config(
        40, 3, 2, local_attention=15, global_attn_every_n_layers=2, norm_bias=True, attention_bias=True, mlp_bias=True),
        tokenizer, "cls", False, bert_texts(), perturb={"local_attention": 16})
    export_classifier("modernbert-pairs", 323, "ModernBERT cross-encoder", ModernBertForSequenceClassification, config(
        32, 3, 4, local_attention=20, classifier_pooling="mean", num_labels=1), tokenizer)
    export_classifier("modernbert-pairs-cls", 325, "ModernBERT cross-encoder", ModernBertForSequenceClassification, config(
        36, 4, 3, local_attention=10, global_attn_every_n_layers=2, num_labels=2, mlp_bias=True), tokenizer,
        torch.float16, perturb={"local_attention": 12})
    export_classifier("modernbert-labels", 324, "ModernBERT classifier", ModernBertForSequenceClassification, config(
        32, 2, 2, classifier_bias=True, norm_bias=True, num_labels=4), tokenizer, perturb={"classifier_activation": "relu"})
    export_classifier("modernbert-labels-mean", 326, "ModernBERT classifier", ModernBertForSequenceClassification, config(
        40, 3, 5, local_attention=12, classifier_pooling="mean", num_labels=3), tokenizer, torch.float16,
        perturb={"local_attention": 14, "classifier_pooling": "cls"})


def qwen3_embedding():
    tokenizer = tiny_tokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    export_encoder("qwen3-embedding", 331, "Qwen3-Embedding", Qwen3Model, Qwen3Config(
        **sizes(32, 40, 2, 4, 2, head_dim=10, tie_word_embeddings=True)), tokenizer, "last", True, plain_texts(),
        prompts={"query": "Instruct: find\nQuery:", "document": ""})
    export_encoder("qwen3-embedding-bias", 332, "Qwen3-Embedding", Qwen3Model, Qwen3Config(
        **sizes(36, 40, 3, 3, 1, head_dim=16, attention_bias=True, rope_theta=3000.0)), tokenizer, "last", True,
        plain_texts(), torch.float16, perturb={"rope_theta": 4000.0})


def gpt_oss():
    def config(truncate=False, factor=6.0, **options):
        return GptOssConfig(**{**sizes(32, 32, 2, 4, 2, head_dim=10, num_local_experts=5, num_experts_per_tok=2,
                                       sliding_window=19, rope_theta=900.0, rope_scaling={
                                           "rope_type": "yarn", "factor": factor, "beta_fast": 8.0, "beta_slow": 0.5,
                                           "truncate": truncate, "original_max_position_embeddings": 64}), **options})
    export_decoder("gpt-oss", 401, "gpt-oss", GptOssForCausalLM, config(), perturb={
        "sliding_window": 18, "num_experts_per_tok": 3, "rope_scaling.truncate": True, "rope_scaling.factor": 7.0})
    export_decoder("gpt-oss-mxfp4", 402, "gpt-oss (MXFP4)", GptOssForCausalLM, config(), mxfp4_experts=True, perturb={
        "sliding_window": 20, "rope_scaling.original_max_position_embeddings": 100})
    other = dict(truncate=True, factor=3.0, hidden_size=64, intermediate_size=32, num_hidden_layers=3, num_attention_heads=6,
                 num_key_value_heads=2, head_dim=8, num_local_experts=4, num_experts_per_tok=1, sliding_window=40)
    export_decoder("gpt-oss-one-expert", 403, "gpt-oss", GptOssForCausalLM, config(**other), torch.float16, perturb={
        "sliding_window": 41, "rope_scaling.factor": 4.0})
    export_decoder("gpt-oss-mxfp4-one-expert", 404, "gpt-oss (MXFP4)", GptOssForCausalLM, config(**other),
                   mxfp4_experts=True, perturb={"sliding_window": 41})


def mixtures():
    export_decoder("mixtral", 411, "Mixtral", MixtralForCausalLM, MixtralConfig(
        **sizes(32, 24, 2, 4, 2, num_local_experts=4, num_experts_per_tok=2, sliding_window=None)),
        perturb={"num_experts_per_tok": 1})
    export_decoder("mixtral-window-f16", 413, "Mixtral", MixtralForCausalLM, MixtralConfig(
        **sizes(40, 20, 3, 5, 5, num_local_experts=3, num_experts_per_tok=1, sliding_window=21, head_dim=10)),
        torch.float16, perturb={"sliding_window": 22})
    export_decoder("qwen3-moe", 412, "Qwen3-MoE", Qwen3MoeForCausalLM, Qwen3MoeConfig(
        **sizes(32, 40, 2, 4, 2, head_dim=10, num_experts=5, num_experts_per_tok=3, moe_intermediate_size=24,
                norm_topk_prob=True, tie_word_embeddings=True)), perturb={"num_experts_per_tok": 2})
    export_decoder("qwen3-moe-untied-f16", 414, "Qwen3-MoE", Qwen3MoeForCausalLM, Qwen3MoeConfig(
        **sizes(36, 40, 3, 3, 1, head_dim=12, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=20,
                norm_topk_prob=True, rope_theta=2000.0)), torch.float16, perturb={"rope_theta": 3000.0})


def t5():
    def config(**options):
        return T5Config(vocab_size=VOCAB, num_layers=2, d_ff=40, pad_token_id=2, eos_token_id=1,
                        decoder_start_token_id=2, **options)
    export_seq2seq("t5-tied-relu", 501, "T5", T5ForConditionalGeneration, config(
        d_model=32, d_kv=8, num_heads=4), perturb={"layer_norm_epsilon": 1e-2})
    export_seq2seq("t5-odd-heads-f16", 503, "T5", T5ForConditionalGeneration, config(
        d_model=40, d_kv=6, num_heads=5, relative_attention_num_buckets=12), torch.float16,
        perturb={"relative_attention_max_distance": 40})
    export_seq2seq("flan-t5-gated", 502, "FLAN-T5", T5ForConditionalGeneration, config(
        d_model=36, d_kv=10, num_heads=3, num_decoder_layers=3, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False, relative_attention_num_buckets=8, relative_attention_max_distance=20),
        perturb={"relative_attention_max_distance": 24, "feed_forward_proj": "gated-silu"})
    export_seq2seq("flan-t5-silu-f16", 504, "FLAN-T5", T5ForConditionalGeneration, config(
        d_model=32, d_kv=12, num_heads=2, feed_forward_proj="gated-silu", tie_word_embeddings=False), torch.float16,
        perturb={"feed_forward_proj": "gated-gelu"})


def bart():
    def config(width, heads, **options):
        return BartConfig(vocab_size=VOCAB, d_model=width, encoder_layers=2, decoder_layers=2,
                          encoder_attention_heads=heads, decoder_attention_heads=heads, encoder_ffn_dim=40,
                          decoder_ffn_dim=48, max_position_embeddings=140, decoder_start_token_id=1,
                          forced_eos_token_id=None, **IDS, **options)
    export_seq2seq("bart", 511, "BART", BartForConditionalGeneration, config(36, 3), perturb={
        "activation_function": "relu"})
    export_seq2seq("bart-scaled", 512, "BART", BartForConditionalGeneration, config(
        40, 5, scale_embedding=True), torch.float16, perturb={"scale_embedding": False})


FAMILIES = [mistral, qwen2, qwen3, gemma, phi3, gpt2, gpt_neox, falcon, mpt, bloom, roberta, bert, modernbert,
            qwen3_embedding, gpt_oss, mixtures, t5, bart]


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for export in FAMILIES:
        if len(sys.argv) == 1 or export.__name__ in sys.argv[1:]:
            export()


if __name__ == "__main__":
    main()
