"""Writes lastro_selftest.json beside the models: what transformers computes for a few texts, which Lastro compares at load.

    python self_test.py --models ../../deploy/models [--reader work/reader_model]
"""
import argparse
import json
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer
from transformers import AutoModel, AutoModelForCausalLM, BertForSequenceClassification

TEXTS = ["The café opens at 8:30.", "A configuração não mudou em 1984.",
         "Who signs for goods that arrive after six in the evening, and where are they kept until the next morning?",
         "Line one.\nLine two, with 1,234.5 units.\n\n\tA third."]
READ = [("When does the café open?", "The library opens at nine. The café opens at 8:30 — on Sundays it is closed."),
        ("Em que ano não mudou a configuração?", "A configuração não mudou em 1984. Em 1990 foi substituída."),
        ("Who signs for late goods?", "Goods that arrive after six are kept in the cellar."),
        ("Quando abre a biblioteca?", "The library opens at nine. The café opens at 8:30 — on Sundays it is closed.")]
MAX_LOGIT_ERROR = 0.5  # of a reader in 8-bit blocks
TOP = 5  # log probabilities kept of each text


def embedding_cases(folder):
    model = AutoModel.from_pretrained(folder, torch_dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in TEXTS:
        ids = torch.tensor([tokenizer.encode(text).ids])
        vector = torch.nn.functional.normalize(model(ids).last_hidden_state.mean(1), dim=-1)[0]
        yield {"text": text, "vector": [round(x, 6) for x in vector.tolist()]}


def decoder_cases(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        top = torch.log_softmax(model(torch.tensor([ids])).logits[0, -1].double(), -1).topk(TOP)
        pairs = zip(top.indices.tolist(), top.values.tolist())
        yield {"text": text, "ids": ids, "logprobs": [{"id": i, "logprob": round(v, 5)} for i, v in pairs]}


class HfReader(BertForSequenceClassification):
    """The reader as transformers computes it."""

    def __init__(self, config):
        super().__init__(config)
        self.qa_outputs = torch.nn.Linear(config.hidden_size, 2)

    def forward(self, ids, types):
        out = self.bert(input_ids=ids, token_type_ids=types)
        return self.classifier(out.pooler_output)[:, 0], *self.qa_outputs(out.last_hidden_state).unbind(-1)


def reader_cases(folder):
    model = HfReader.from_pretrained(folder, torch_dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    longest = json.loads((folder / "config.json").read_text())["lastro_reader"]["answer_tokens"]
    for question, passage in READ:
        e = tokenizer.encode(question, passage)
        relevance, start, end = (x[0] for x in model(torch.tensor([e.ids]), torch.tensor([e.type_ids])))
        rows = range(e.type_ids.index(1), len(e.ids) - 1)
        score, i, j = max((float(start[i] + end[j] - start[0] - end[0]), i, j) for i in rows for j in range(i, min(i + longest, len(e.ids) - 1)))
        at = lambda n: len(passage[:n].encode())
        yield {"question": question, "passage": passage, "relevance": round(float(relevance), 5), "score": round(score, 5),
               "begin": at(e.offsets[i][0]), "end": at(e.offsets[j][1])}


def write(folder, kind, limit, cases):
    lines = ",\n  ".join(json.dumps(case, ensure_ascii=False) for case in cases)
    head = json.dumps({"kind": kind, "source": f"transformers {transformers.__version__}", **limit})[:-1]
    (folder / "lastro_selftest.json").write_text(f"{head}, \"cases\": [\n  {lines}\n]}}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", required=True, type=Path)
    parser.add_argument("--reader", type=Path, help="the reader's folder as export_reader.py wrote it")
    args = parser.parse_args()
    models = args.models
    with torch.no_grad():
        write(models / "embedder", "embedding", {"min_cosine": 0.999}, embedding_cases(models / "embedder"))
        if args.reader:
            write(args.reader, "reader", {"max_logit_error": MAX_LOGIT_ERROR}, reader_cases(args.reader))
        write(models / "decoder", "decoder", {"max_logprob_error": 0.1}, decoder_cases(models / "decoder"))


if __name__ == "__main__":
    main()
