"""The reader: a BERT that reads question and passage together and says whether the passage answers, and where.

Names of its tensors: bert.* and bert.pooler.dense + classifier [1, D] as in BertForSequenceClassification (the passage holds the
answer: a logit), qa_outputs [2, D] as in BertForQuestionAnswering (start and end; [CLS] stands for "no answer").
"""
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from bert_model import Bert

CLS, SEP = 101, 102
MASKED = -1e4
LONGEST_QUESTION, LONGEST_CONTEXT, LONGEST_SPAN = 48, 32, 30  # tokens


class Reader(nn.Module):
    def __init__(self, state, dtype=torch.float32, dropout=0.0):
        """`state`: of an encoder (no prefix, heads begin at random) or of a reader."""
        super().__init__()
        body = {k.removeprefix("bert."): v for k, v in state.items() if not k.startswith(("classifier.", "qa_outputs.", "bert.pooler.", "pooler."))}
        self.bert = Bert(body, dtype=dtype, dropout=dropout)
        d = self.bert.words.shape[1]
        self.heads = nn.ModuleDict({"pooler": nn.Linear(d, d), "classifier": nn.Linear(d, 1), "qa_outputs": nn.Linear(d, 2)})
        for name, head in self.heads.items():
            nn.init.normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)
            key = {"pooler": "bert.pooler.dense"}.get(name, name)
            if key + ".weight" in state:
                head.load_state_dict({k: state[f"{key}.{k}"] for k in ("weight", "bias")})

    def state(self):
        out = {"bert." + k: v for k, v in self.bert.state().items()}
        for name, head in self.heads.items():
            out.update({f"{'bert.pooler.dense' if name == 'pooler' else name}.{k}": v for k, v in head.state_dict().items()})
        return out

    def forward(self, ids, types, mask):
        """[B, T] each -> relevance logits [B]; start and end logits [B, T], MASKED outside passage and [CLS]."""
        h = self.bert(ids, mask, types)
        relevance = self.heads["classifier"](torch.tanh(self.heads["pooler"](h[:, 0])))[:, 0]
        allowed = types.bool() & mask.bool()
        allowed = allowed & torch.cat((allowed[:, 1:], torch.zeros_like(allowed[:, :1])), 1)  # not the last [SEP]
        allowed[:, 0] = True
        start, end = self.heads["qa_outputs"](h).masked_fill(~allowed[..., None], MASKED).unbind(-1)
        return relevance, start, end


def context_ids(tokenizer, text):
    """Of what a passage stands under, its title and headings; of a long one the end."""
    return tokenizer.encode(text + ":", add_special_tokens=False).ids[-LONGEST_CONTEXT:] if text else []


def join(question, passage, context=()):
    """-> ([CLS] question [SEP] context passage [SEP], segment ids, offset of the passage's first token)."""
    before = [CLS, *question[:LONGEST_QUESTION], SEP, *context]
    return [*before, *passage, SEP], [0] * len(before) + [1] * (len(passage) + 1), len(before)


def collate(rows, multiple=8):
    """rows: [(ids, types, ...)] -> padded ids, types, mask."""
    n = -(-max(len(r[0]) for r in rows) // multiple) * multiple
    ids, types, mask = (np.zeros((len(rows), n), np.int64) for _ in range(3))
    for i, r in enumerate(rows):
        ids[i, :len(r[0])], types[i, :len(r[1])], mask[i, :len(r[0])] = r[0], r[1], 1
    return torch.from_numpy(ids), torch.from_numpy(types), torch.from_numpy(mask)


def token_span(offsets, begin, end):
    """Character span -> (first, last) token."""
    inside = [i for i, (a, b) in enumerate(offsets) if b > begin and a < end]
    return (inside[0], inside[-1]) if inside else None


def best_span(start, end, first, last):
    """Of the tokens first .. last (numpy logits): (score against [CLS], first, last) of the likeliest answer."""
    rows = np.full((last - first + 1, LONGEST_SPAN), -np.inf)
    for k in range(min(LONGEST_SPAN, len(rows))):
        rows[:len(rows) - k, k] = start[first:last + 1 - k] + end[first + k:last + 1]
    i, k = np.unravel_index(rows.argmax(), rows.shape)
    return float(rows[i, k] - start[0] - end[0]), first + int(i), first + int(i + k)


def span_loss(start, end, spans, weights):
    """-log of the probability of any of each row's (first, last) pairs, start and end apart; `spans`: lists of pairs."""
    rows = [i for i, s in enumerate(spans) for _ in s]
    first, last = (torch.tensor([p[k] for s in spans for p in s]) for k in (0, 1))
    rows = torch.tensor(rows)
    both = F.log_softmax(start, -1)[rows, first] + F.log_softmax(end, -1)[rows, last]
    table = torch.full((len(spans), max(map(len, spans))), -torch.inf)
    column = torch.tensor([k for s in spans for k in range(len(s))])
    table = table.index_put((rows, column), both)
    return -(torch.logsumexp(table, 1) / 2 * weights).sum() / weights.sum().clamp(min=1)
