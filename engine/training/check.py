"""Loads the exported models with transformers and compares them with the training code.

    python check.py --models ../../deploy/models [--reader work/reader_model]
"""
import argparse
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

import prompt as P
from bert_model import SentenceEncoder, encode, load_state
from evaluate_decoder import load_decoder
from reader_model import Reader, collate, join
from self_test import READ, HfReader

TEXTS = ["How do I reset my password?", "Como faço para redefinir a minha senha?", "The café opens at 8:30.", "A configuração não mudou em 1984."]


def check_reader(folder):
    hf, reader, tok = HfReader.from_pretrained(folder, torch_dtype=torch.float32).eval(), Reader(load_state(folder)).eval(), Tokenizer.from_file(str(folder / "tokenizer.json"))
    worst = 0.0
    with torch.no_grad():
        for pair in READ:
            ids, types, mask = collate([join(*(tok.encode(t, add_special_tokens=False).ids for t in pair))[:2]], 1)
            assert ids[0].tolist() == tok.encode(*pair).ids
            got, want = reader(ids, types, mask), hf(ids, types)
            inside = types[0].bool() & (ids[0] != ids[0, -1])
            worst = max(worst, (got[0] - want[0]).abs().item(), *((got[k][0] - want[k][0])[inside].abs().max().item() for k in (1, 2)))
    print("reader: logits differ from transformers by at most", round(worst, 6))
    assert worst < 1e-3


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--models", required=True, type=Path)
    ap.add_argument("--reader", type=Path, help="the reader's folder as export_reader.py wrote it")
    args = ap.parse_args()
    torch.set_num_threads(1)
    folder = args.models / "embedder"
    hf, hf_tok = AutoModel.from_pretrained(folder, torch_dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(folder)
    tok = Tokenizer.from_file(str(folder / "tokenizer.json"))
    batch = hf_tok(TEXTS, padding=True, return_tensors="pt")
    for row, mask, e in zip(batch["input_ids"], batch["attention_mask"], tok.encode_batch(TEXTS)):
        assert row[mask.bool()].tolist() == e.ids
    with torch.no_grad():
        h, m = hf(**batch).last_hidden_state, batch["attention_mask"][..., None].float()
    want = torch.nn.functional.normalize((h * m).sum(1) / m.sum(1), dim=-1)
    got = torch.from_numpy(encode(SentenceEncoder(load_state(folder)).eval(), tok, TEXTS))
    cos = (want * got).sum(1)
    print("embedder: lowest cosine to transformers", round(cos.min().item(), 5), "- question en/pt", round((got[0] @ got[1]).item(), 3))
    assert cos.min() > 0.999

    if args.reader:
        check_reader(args.reader)

    folder = args.models / "decoder"
    assert json.loads((folder / "lastro_prompt.json").read_text())["format"] == "lastro-qa-v1"
    enc = P.Encoder(Tokenizer.from_file(str(folder / "tokenizer.json")))
    assert not set(enc.text("<|none|><|eos|>")) & set(enc.id.values()), "text must never yield a special token"
    for t in TEXTS:
        assert enc.tok.decode(enc.text(t)) == t
    hf = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval()
    ids = torch.tensor([enc.prompt(TEXTS[:2], TEXTS[2]) + enc.answer(TEXTS[0], 1)])
    with torch.no_grad():
        want = torch.log_softmax(hf(ids).logits[:, :-1], -1).gather(2, ids[:, 1:, None])[..., 0]
    diff = (load_decoder(folder).logprobs(ids) - want).abs()
    print("decoder: log p differs from transformers by", round(diff.mean().item(), 4), "on average,", round(diff.max().item(), 4), "at most")
    assert diff.mean() < 0.05
    passages = ["The reactor was shut down in March 2019. Its operator is Norden Energy.", "A biblioteca abre às nove horas. Aos domingos está fechada."]
    for q in ("Who operates the reactor?", "A que horas abre a biblioteca?", "What is the capital of Peru?"):
        ids = torch.tensor([enc.prompt(passages, q)])
        start = ids.shape[1]
        with torch.no_grad():  # greedy
            while ids.shape[1] < start + 24 and ids[0, -1] != enc.id["eos"]:
                ids = torch.cat((ids, hf(ids).logits[:, -1:].argmax(-1)), 1)
        out = ids[0, start:]
        print(repr(q), "->", repr(enc.tok.decode(out.tolist(), skip_special_tokens=False)))


if __name__ == "__main__":
    main()
