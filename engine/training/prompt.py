"""The prompt format lastro-qa-v1 and the quoting examples built from question sets."""
import re

import common

STOP = set("""a an the of in on at to for from by with and or but is are was were be been being as that this these those it its
he she they them his her their we our you your i not no do does did has have had will would can could may might should which who
whom whose what when where why how there than then also into about over after before between during such some any all each other
one o os as um uma uns umas de do da dos das em no na nos nas por para com sem e ou mas que se é são foi era eram ser sido está
estão como mais menos muito seu sua seus suas ele ela eles elas isso este esta esse essa isto ao aos à às pelo pela pelos pelas
não já também quando onde qual quais quem porque entre até sobre após antes durante pode podem ter tem têm há foram será você
lhe me nos qualquer cada outro outra outros outras quanto quantos quantas""".split())
_WORD = re.compile(r"\w+", re.UNICODE)


def words(text):
    return [w.lower() for w in _WORD.findall(text)]


def stem(w):
    return w[:6] if len(w) > 6 else w.rstrip("s")


def content(text):
    return [stem(w) for w in words(text) if w not in STOP and len(w) > 1]


class Encoder:
    """Builds token ids; document and question text can never yield a special token."""

    def __init__(self, tokenizer):
        self.tok = tokenizer
        tokenizer.encode_special_tokens = True  # text that spells a special token is split like any other
        self.id = {s: tokenizer.token_to_id(f"<|{s}|>")
                   for s in ("bos", "eos", "pad", "passage", "question", "answer", "none", "cite")}

    def text(self, s):
        return self.tok.encode(s, add_special_tokens=False).ids

    def prompt(self, passages, question=None):
        ids = [self.id["bos"]]
        for i, p in enumerate(passages, 1):
            ids += [self.id["passage"]] + self.text(f"{i}\n{p}")
        ids.append(self.id["question"])
        if question is not None:
            ids += self.text(question)
        ids.append(self.id["answer"])
        return ids

    def answer(self, sentence, index):
        if sentence is None:
            return [self.id["none"], self.id["eos"]]
        return self.text(" " + sentence) + [self.id["cite"]] + self.text(str(index)) + [self.id["eos"]]


def gold_sentence(r):
    """The sentence of the context that holds the answer, or None if there is no clear one."""
    sents = common.sentences(r["context"])
    q = set(content(r["question"]))
    if r["kind"] in ("extractive", "sentence"):
        hits = [s for s in sents for a in r["answers"] if a and (a in s or s in a)]
        if not hits:
            return None
        return max(hits, key=lambda s: len(q & set(content(s))))
    if r["kind"].startswith("abstractive"):
        best, best_score = None, 0.0
        for a in r["answers"]:
            want = set(content(a))
            if not 2 <= len(want) <= 40:
                continue
            for s in sents:
                have = set(content(s))
                score = len(want & have) / len(want) + 0.02 * len(q & have)
                if score > best_score and len(want & have) >= 0.6 * len(want):
                    best, best_score = s, score
        return best
    return None


def window(text, sentence, budget, r):
    """Cuts text to whole sentences around `sentence`, about `budget` characters, verbatim."""
    if len(text) <= budget:
        return text
    sents = common.sentences(text)
    if sentence in sents:
        i = j = sents.index(sentence)
    else:
        i = j = r.randrange(len(sents))
    size = len(sents[i])
    while True:
        room = [d for d in (-1, 1) if 0 <= (i + d if d < 0 else j + d) < len(sents)]
        if not room:
            break
        d = r.choice(room)
        k = i + d if d < 0 else j + d
        if size + len(sents[k]) > budget:
            break
        size += len(sents[k])
        i, j = (k, j) if d < 0 else (i, k)
    start = text.find(sents[i])
    end = text.find(sents[j], start) + len(sents[j])
    return text[start:end]
