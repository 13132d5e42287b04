"""Trains the decoder's byte-level BPE (8,192 entries, 8 special tokens) on English and Portuguese text.

    python train_tokenizer.py --data ../shared/data --out work/tokenizer
"""
import argparse
import random
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

import common

SPECIALS = ["<|bos|>", "<|eos|>", "<|pad|>", "<|passage|>", "<|question|>", "<|answer|>", "<|none|>", "<|cite|>"]
# Bytes of text per source; everything not named gets DEFAULT_BYTES.
DEFAULT_BYTES = 1_000_000
SAMPLE_BYTES = {"wikipedia_en_2015": 16_000_000, "eltec_novels_en": 1_000_000, "eltec_novels_pt": 500_000,
                "ms_dynamics365_pt": 7_000_000, "ms_dotnet_pt": 3_000_000, "mdn_pt_br": 4_000_000,
                "python_docs_pt": 3_000_000, "react_docs_pt": 1_000_000}


def sample(data):
    for lang in ("en", "pt"):
        for path in sorted((data / "text" / lang).glob("*.jsonl.zst")):
            budget = SAMPLE_BYTES.get(path.name.split(".")[0], DEFAULT_BYTES)
            r = random.Random(path.name)
            texts = [x["text"] for x in common.read_jsonl(path) if not common.is_dev(x)]
            r.shuffle(texts)
            for t in texts:
                if budget <= 0:
                    break
                budget -= len(t)
                yield t
    for _ in range(4):  # the Portuguese general-language contexts are few
        for name in ("faquad_train", "squad_v1_pt_sample", "pira"):
            seen = set()
            for x in common.read_jsonl(data / "qa" / f"{name}.jsonl.zst"):
                if x["lang"] == "pt" and not common.is_dev(x):
                    yield x["question"]
                    if x["context"] not in seen:
                        seen.add(x["context"])
                        yield x["context"]


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--data", required=True, type=Path)
    ap.add_argument("--out", required=True, type=Path)
    ap.add_argument("--vocab", type=int, default=8192)
    args = ap.parse_args()
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=args.vocab, special_tokens=[AddedToken(s, special=True, normalized=False) for s in SPECIALS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tok.train_from_iterator(sample(args.data), trainer)
    args.out.mkdir(parents=True, exist_ok=True)
    tok.save(str(args.out / "tokenizer.json"))
    common.write_json(args.out / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|bos|>", "eos_token": "<|eos|>",
        "pad_token": "<|pad|>", "additional_special_tokens": SPECIALS[3:], "model_max_length": 2048,
        "clean_up_tokenization_spaces": False, "add_bos_token": False, "add_eos_token": False})
    print(tok.get_vocab_size(), "entries;", tok.encode("Em 1984, a configuração não mudou.").tokens)


if __name__ == "__main__":
    main()
