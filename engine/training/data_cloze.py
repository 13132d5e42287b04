"""Makes questions for the reader out of plain text: a sentence with a gap asks for what stood there.

    python data_cloze.py --data ../shared/data --embedder ../../deploy/models/embedder --out work/cloze [--wordnet FOLDER]

The gap is a name, number, date or group of content words. The sentence stands in the passage, or is taken out of it where the
answer recurs, so that only meaning is left to go by. Words are dropped, moved and partly translated, lest copying suffice.
"""
import random
import re

import common
from data_reader import Pools, arguments, dictionary, gloss, occurrences

# passages by file; the rest of a folder shares what is left
COUNTS = {"en": {"wikipedia_en_2015": 15000, "eltec_novels_en": 500}, "pt": {"eltec_novels_pt": 1000, "ms_dotnet_pt": 2500, "ms_dynamics365_pt": 4500}}
OTHERS = {"en": 450, "pt": 1500}
PSEUDO = 0.25  # of Wikipedia's passages: glossed
STOP = {lang: set(s.split()) for lang, s in {
    "en": "a an the of in on at to for from by with and or but as is are was were be been has have had it its this that these those he she they his her "
          "their which who whom when where what not no also may can will would could should than then there such into over after before between during "
          "all any some more most other each both if so we you i one only same very about through",
    "pt": "o a os as um uma uns umas de do da dos das em no na nos nas para por pelo pela com e ou mas como que se é são foi eram era ser está estão ao "
          "aos à às não também pode podem este esta esse essa isso isto seu sua seus suas ele ela eles elas lhe mais menos entre sobre até quando onde "
          "qual quais já há ter tem tinha sem sob num numa cada todo toda todos todas outro outra"}.items()}
ASK = {"en": {"date": ["when", "in what year", "what date"], "number": ["how many", "how much", "what number"], "name": ["who", "what", "which", "where"],
              "phrase": ["what", "what", "which", "how", "what kind of"]},
       "pt": {"date": ["quando", "em que ano", "em que data"], "number": ["quantos", "quantas", "quanto", "qual número"],
              "name": ["quem", "o que", "qual", "onde"], "phrase": ["o que", "qual", "quais", "como", "que tipo de"]}}
DATE = re.compile(r"\b(?:\d{1,2} (?:de )?)?(?:January|February|March|April|May|June|July|August|September|October|November|December|janeiro|fevereiro|março|"
                  r"abril|maio|junho|julho|agosto|setembro|outubro|novembro|dezembro)(?:,? (?:de )?\d{1,4})?(?:, \d{4})?\b|\b1\d{3}s?\b|\b20[012]\d\b", re.I)
NUMBER = re.compile(r"(?<![\w.])[$€£]?\d[\d.,]*\d*(?: ?(?:%|percent|million|billion|thousand|km|kg|m|miles|feet|years|days|hours|minutes|seconds|bytes|por cento|"
                    r"milhões|mil|anos|dias|horas|minutos|segundos))?(?!\w)")
NAME = re.compile(r"(?<![.!?:] )(?<!^)\b[A-ZÀ-Ý][\w'’-]+(?: (?:(?:of|the|de|da|do|dos|das|and|e) )?[A-ZÀ-Ý][\w'’-]+){0,4}")


def gaps(sentence, lang):
    """[(kind, start, end)] of what can be asked for."""
    found = [("date", *m.span()) for m in DATE.finditer(sentence)]
    taken = lambda m: any(a < m.end() and m.start() < b for _, a, b in found)
    for kind, pattern in (("number", NUMBER), ("name", NAME)):
        found += [(kind, *m.span()) for m in pattern.finditer(sentence) if not taken(m) and m.group().lower() not in STOP[lang]]
    run = []
    for m in [*re.finditer(r"\w[\w'’-]*|[^\w\s]", sentence), None]:
        if m and m.group()[0].isalnum() and m.group().lower() not in STOP[lang]:
            run.append(m)
            continue
        if 1 <= len(run) <= 5 and (len(run) > 1 or len(run[0].group()) > 4):
            a, b = run[0].start(), run[-1].end()
            if not any(x < b and a < y for _, x, y in found):
                found.append(("phrase", a, b))
        run = []
    return found


def ask(sentence, gap, lang, rnd):
    """A question of words: what is left of the sentence near the gap."""
    kind, a, b = gap
    before, after = sentence[:a].split(), sentence[b:].split()
    reach = rnd.randint(5, 10)
    before, after = before[-reach:], after[:reach]
    keep = lambda ws: [w.strip(".,;:()[]\"“”") for w in ws if rnd.random() > 0.22]
    before, after, what = keep(before), keep(after), rnd.choice(ASK[lang][kind])
    if before and rnd.random() < 0.3:
        what, before = f"{before[-1]} {what}" if before[-1].lower() in STOP[lang] and rnd.random() < 0.5 else what, before[:-1]
    order = rnd.random()
    parts = [[what], before, after] if order < 0.45 else [[what], after, before] if order < 0.8 else [before, [what], after]
    return " ".join(w for p in parts for w in p if w) + "?"


def passages(path, count, rnd):
    """(record, piece of about 60 to 170 words, whole sentences), spread over the file."""
    found = [r for r in common.read_jsonl(path) if not common.is_dev(r) and len(r["text"]) > 500]
    rnd.shuffle(found)
    for r in found[:count]:
        s = [x for x in common.sentences(r["text"]) if len(x) < 600 and "|" not in x and "`" not in x]
        if len(s) < 4:
            continue
        at, want, piece = rnd.randrange(max(1, len(s) - 4)), rnd.randint(380, 1000), []
        while at < len(s) and sum(map(len, piece)) < want:
            piece.append(s[at])
            at += 1
        if len(piece) >= 3:
            yield r, piece


def question(pools, r, piece, translate, rnd):
    """Adds one example of the piece, or nothing where it offers no gap."""
    lang = r["lang"]
    options = [(i, g) for i, s in enumerate(piece) if 40 < len(s) for g in gaps(s, lang)]
    if not options:
        return
    pick = {"date": 1.5, "number": 1.2, "name": 1.5, "phrase": 0.5}
    for _ in range(4):
        i, gap = rnd.choices(options, [pick[g[0]] for _, g in options])[0]
        answer, text = piece[i][gap[1]:gap[2]], " ".join(piece)
        rest = " ".join(piece[:i] + piece[i + 1:])
        elsewhere = occurrences(answer, rest)
        if elsewhere and gap[0] in ("name", "phrase"):  # the answer recurs: its other sentence asks
            text, spans, cut = rest, elsewhere[:4], None
            break
        start = len(" ".join(piece[:i])) + (1 if i else 0)
        spans, cut = [(start + gap[1], start + gap[2])], None if elsewhere else [start, start + len(piece[i])]
        if not elsewhere:
            break
    q = ask(piece[i], gap, lang, rnd)
    if r.get("title") and rnd.random() < 0.2:
        q = f"{r['title']}: {q}"
    form = rnd.random()
    if lang == "en" and form < PSEUDO:
        text, starts, ends = gloss(text, translate, rnd.choice([0.6, 0.9, 1.0]), rnd)
        spans = [(starts[a], ends[b]) for a, b in spans if a in starts and b in ends]
        cut = [starts[cut[0]], ends[cut[1]]] if cut and cut[0] in starts and cut[1] in ends else None
        lang = "pt*"
        if not spans:
            return
    if r["lang"] == "en" and (form < 0.7 * PSEUDO or PSEUDO < form < 1.5 * PSEUDO):
        q = gloss(q, translate, 1.0, rnd)[0]
    p = pools.passage(text, lang, r["title"], "cloze", False)
    answers = list(dict.fromkeys(text[a:b] for a, b in spans))  # as they stand in the passage, glossed or not
    pools.examples.append({"source": "cloze_" + lang[:2], "lang": lang, "question": q, "answers": answers, "answerable": True, "dev": False, "passage": p,
                           "spans": spans, "cut": cut, "negatives": []})
    return p


def main():
    args = arguments(__doc__, seed=13)
    rnd, pools = random.Random(args.seed), Pools()
    texts = [r["context"] for r in common.read_jsonl(args.data / "qa" / "squad_dev_part.jsonl.zst")]
    translate = dictionary(args, sorted(set(texts)))
    for lang in ("en", "pt"):
        for path in sorted((args.data / "text" / lang).glob("*.jsonl.zst")):
            name, by_doc = path.name.split(".")[0], {}
            before = len(pools.examples)
            for r, piece in passages(path, COUNTS[lang].get(name, OTHERS[lang]), rnd):
                if question(pools, r, piece, translate, rnd) is not None:
                    by_doc.setdefault(r["title"] if name.startswith("eltec") else "", []).append(pools.examples[-1])
            for group in by_doc.values():  # a passage of the same file or book
                for e, other in zip(group, group[1:] + group[:1]):
                    if other is not e and not any(occurrences(a, pools.passages[other["passage"]]["text"]) for a in e["answers"]):
                        e["negatives"] = [other["passage"]]
            print(name, len(pools.examples) - before, flush=True)
    pools.save(args.out)
    for e in rnd.sample(pools.examples, 12):
        t = pools.passages[e["passage"]]["text"]
        print(e["lang"], "|", e["question"], "|", [t[a:b] for a, b in e["spans"]], "|", t[:200])


if __name__ == "__main__":
    main()
