"""Makes questions that their passage no longer answers: answered ones with a name, number or word replaced, or negated.

    python data_altered.py --pools work/reader --out work/altered [--wordnet FOLDER]

These are the ways in which people wrote SQuAD 2's unanswerable questions (Rajpurkar et al. 2018, table 2). FOLDER as for
data_reader.py, and of its WordNet also data.noun, data.verb, data.adj, data.adv, which know opposites.
"""
import argparse
import collections
import json
import random
import re
from pathlib import Path

import common
from data_cloze import NAME, STOP

SOURCES = {"squad_dev", "nq_oracle (lost-in-the-middle)", "qed", "covid-qa", "fairytaleqa", "squad_v1.1_pt_sample", "faquad", "pira", "glossed"}
COPIES = 2  # of a question, at most
NEGATIONS = 0.15  # of the questions that could be negated: more would teach that the word alone tells
USUAL = 40  # times that an opposite must stand in the passages
FROM_ELSEWHERE = 0.35  # names that no sentence of the passage holds
YEAR, NUMBER = re.compile(r"\b1\d{3}\b|\b20\d\d\b"), re.compile(r"(?<![\w.,])\d[\d.,]*\d|(?<![\w.,])\d(?![\w.,]\d)")
OPPOSITES = {
    "en": "first last;before after;largest smallest;biggest smallest;highest lowest;most least;more fewer;oldest youngest;earliest latest;north south;"
          "east west;northern southern;eastern western;above below;over under;increase decrease;increased decreased;rise fall;rose fell;won lost;"
          "win lose;began ended;begin end;start stop;started stopped;opened closed;open close;built destroyed;allowed forbidden;include exclude;"
          "included excluded;male female;men women;father mother;son daughter;brother sister;king queen;best worst;longest shortest;fastest slowest;"
          "inside outside;bought sold;import export;joined left;accepted rejected;upper lower;major minor;public private;arrived departed;"
          "born died;maximum minimum;always never;with without;support oppose;supported opposed;gained lost;enter leave;strong weak",
    "pt": "primeiro último;primeira última;antes depois;maior menor;mais menos;norte sul;leste oeste;acima abaixo;aumentar diminuir;aumentou diminuiu;"
          "ganhou perdeu;começou terminou;início fim;abriu fechou;construído destruído;permitido proibido;incluir excluir;masculino feminino;homens mulheres;"
          "pai mãe;filho filha;irmão irmã;rei rainha;melhor pior;máximo mínimo;sempre nunca;com sem;dentro fora;comprou vendeu;entrou saiu;nasceu morreu;"
          "público privado;pública privada;superior inferior;obrigatório facultativo;obrigatória facultativa;inicial final;mínima máxima;novo antigo"}
NEGATED = {"en": re.compile(r"\b(did|does|do|was|were|is|are|can|could|would|will|has|have|had)\b (?!not\b|n't)", re.I),
           "pt": re.compile(r"\b(quem|quando|onde|que|qual \w+|quais \w+) (?!não\b|é\b|são\b|foi\b|eram?\b)", re.I)}


def wordnet_opposites(folder):
    """{word: opposites} of the antonym pointers."""
    words, pointers = {}, []
    for pos, letter in (("noun", "n"), ("verb", "v"), ("adj", "a"), ("adv", "r")):
        with open(folder / f"data.{pos}", encoding="latin-1") as f:
            for line in f:
                if line.startswith("  "):
                    continue
                p = line.split()
                n = int(p[3], 16)
                words[letter, p[0]] = [re.sub(r"\(\w+\)$", "", p[4 + 2 * i]).lower() for i in range(n)]
                at = 5 + 2 * n
                pointers += [(letter, p[0], *p[at + 4 * i:at + 4 * i + 4]) for i in range(int(p[4 + 2 * n])) if p[at + 4 * i] == "!"]
    out = collections.defaultdict(set)
    for letter, offset, _, target, pos, which in pointers:
        a, b = int(which[:2], 16), int(which[2:], 16)
        if a and b:
            out[words[letter, offset][a - 1]].add(words["a" if pos == "s" else pos, target][b - 1])
    return {w: sorted(o) for w, o in out.items() if "_" not in w}


def opposites(wordnet, counts):
    table = {lang: collections.defaultdict(list) for lang in OPPOSITES}
    for lang, pairs in OPPOSITES.items():
        for pair in pairs.split(";"):
            a, b = pair.split()
            table[lang][a].append(b)
            table[lang][b].append(a)
    if wordnet:
        for word, others in wordnet_opposites(wordnet).items():
            if word not in table["en"] and len(word) > 3 and word not in STOP["en"]:
                others = [o for o in others if counts[o] >= USUAL]
                if others:
                    table["en"][word] = others
    return table


class Alterer:
    def __init__(self, pools, names, table, rnd):
        self.passages, self.names, self.table, self.rnd = pools["passages"], names, table, rnd

    def swap(self, e, pattern, text, allowed, elsewhere):
        """The question with one match of `pattern` replaced by another of the passage's, or by one of `elsewhere`."""
        found = [m for m in pattern.finditer(e["question"]) if m.start() > 0]
        if not found:
            return None
        m, asked, answer = self.rnd.choice(found), e["question"].lower(), " ".join(e["answers"]).lower()
        fits = lambda s: allowed(m.group(), s) and s.lower() not in asked and s.lower() not in answer and m.group().lower() not in s.lower()
        options = sorted({s for s in pattern.findall(text) if fits(s)})
        if not options or self.rnd.random() < FROM_ELSEWHERE:
            options = [s for s in elsewhere(m.group()) if fits(s) and s not in text]
        return e["question"][:m.start()] + self.rnd.choice(options) + e["question"][m.end():] if options else None

    def year(self, e, text):
        return self.swap(e, YEAR, text, lambda a, b: a != b, lambda y: [str(int(y) + d) for d in (-30, -7, -2, -1, 1, 3, 10)])

    def number(self, e, text):
        if YEAR.search(e["question"]):
            return None
        return self.swap(e, NUMBER, text, lambda a, b: a != b and not YEAR.fullmatch(b), lambda n: [str(self.rnd.randint(2, 900))])

    def name(self, e, text):
        near = lambda a, b: abs(len(a.split()) - len(b.split())) < 2 and b.lower() not in STOP["en"] and len(b) > 2
        return self.swap(e, NAME, text, near, lambda _: self.rnd.sample(self.names[e["lang"]], min(8, len(self.names[e["lang"]]))))

    def opposite(self, e, text):
        table = self.table["en" if e["lang"] == "en" else "pt"]
        found = [m for m in re.finditer(r"[^\W\d_]+", e["question"]) if m.group().lower() in table]
        if not found:
            return None
        m = self.rnd.choice(found)
        return e["question"][:m.start()] + self.rnd.choice(table[m.group().lower()]) + e["question"][m.end():]

    def negation(self, e, text):
        lang = "en" if e["lang"] == "en" else "pt"
        m = NEGATED[lang].search(e["question"])
        if not m or self.rnd.random() > NEGATIONS:
            return None
        word = self.rnd.choice(["never", "not"] if lang == "en" else ["nunca", "não"])
        if lang == "en" and m.group(1).lower() in ("did", "does", "do") and word == "not":
            return e["question"][:m.start()] + m.group(1) + "n't " + e["question"][m.end():]
        return e["question"][:m.end()] + word + " " + e["question"][m.end():]

    def altered(self, e):
        """Up to COPIES altered questions, each in its own way."""
        text = self.passages[e["passage"]]["text"]
        ways = [(self.name, 4), (self.year, 4), (self.number, 3), (self.opposite, 3), (self.negation, 1)]
        out = []
        while ways and len(out) < COPIES:
            way = self.rnd.choices([w for w, _ in ways], [n for _, n in ways])[0]
            ways = [w for w in ways if w[0] != way]
            question = way(e, text)
            if question and question != e["question"]:
                out.append((way.__name__, question))
        return out


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--pools", required=True, type=Path, help="of data_reader.py")
    ap.add_argument("--out", required=True, type=Path)
    ap.add_argument("--wordnet", type=Path)
    ap.add_argument("--seed", type=int, default=17)
    args = ap.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rnd, pools = random.Random(args.seed), json.loads((args.pools / "pools.json").read_text())
    held_out = {e["passage"] for e in pools["examples"] if e["dev"]}
    mine = [e for e in pools["examples"] if e["source"] in SOURCES and e["spans"] and not e["dev"] and e["passage"] not in held_out]
    names = collections.defaultdict(list)
    for lang in {e["lang"] for e in mine}:
        for i in sorted({e["passage"] for e in mine if e["lang"] == lang}):
            names[lang] += [m for m in NAME.findall(pools["passages"][i]["text"]) if m.lower() not in STOP["en"]]
    counts = collections.Counter(w for p in pools["passages"] for w in re.findall(r"[a-z]+", p["text"].lower()))
    alterer = Alterer(pools, names, opposites(args.wordnet, counts), rnd)
    used, examples, kinds = {}, [], collections.Counter()
    for e in mine:
        for kind, question in alterer.altered(e):
            kinds[e["lang"], kind] += 1
            used.setdefault(e["passage"], len(used))
            examples.append({"source": "altered_" + e["lang"][:2], "lang": e["lang"], "question": question, "answers": [], "answerable": False, "dev": False,
                             "passage": used[e["passage"]], "spans": [], "cut": None, "negatives": []})
    for key, n in sorted(kinds.items()):
        print(*key, n)
    common.write_atomic(args.out / "pools.json", json.dumps({"passages": [pools["passages"][i] for i in used], "examples": examples}, ensure_ascii=False))
    for e in rnd.sample(examples, 30):
        print(e["lang"], "|", e["question"])


if __name__ == "__main__":
    main()
