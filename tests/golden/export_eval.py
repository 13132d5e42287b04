"""Writes tests/golden/eval/*.json: what reference implementations say of answers and rankings, for tests/unit/services/eval/metrics_golden_test.cc.

    python export_eval.py

Rankings: trec_eval's measures by pytrec-eval-terrier 0.5. Answers: the rules that SQuAD publishes (lower case; string.punctuation
removed; a, an, the removed as words; white space folded; F1 over bags of words, best of the gold answers), here in Python's
regular expressions, and those of MLQA with the Portuguese articles. Area under the risk-coverage curve: its definition, by
NumPy.
"""

import collections
import json
import pathlib
import random
import re
import string
import unicodedata

import numpy
import pytrec_eval

OUT = pathlib.Path(__file__).resolve().parent / "eval"
ARTICLES = {"en": r"\b(a|an|the)\b", "pt": r"\b(o|a|os|as|um|uma|uns|umas)\b"}


def normalize(text, lang):
    punctuation = set(string.punctuation)
    drop = lambda c: c in punctuation or (lang == "pt" and unicodedata.category(c).startswith("P"))
    text = "".join(c for c in text.lower() if not drop(c))
    return re.sub(ARTICLES[lang], " ", text).split()


def f1(answer, gold):
    if not answer or not gold:
        return float(answer == gold)
    common = sum((collections.Counter(answer) & collections.Counter(gold)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(answer), common / len(gold)
    return 2 * precision * recall / (precision + recall)


def answers():
    texts = {
        "en": ["The Eiffel Tower", "eiffel tower!", "an apple a day", "U.S. dollars", "$3.50", "2,000", "“the” quote", "The",
               "", "  a  the an ", "theatre and another", "don't", "ΑΣ THE ΣΊΣΥΦΟΣ", "naïve—the thing", "x² the ½", "İstanbul",
               "the\u00a0end", "a-b the_c", "co\u0301mo a"],
        "pt": ["O Rio de Janeiro", "rio de janeiro.", "umas maçãs", "à noite", "«os Lusíadas»", "A", "", "dos anos 90",
               "uma-a-uma", "São Paulo — a capital", "as 3 às 5"],
    }
    cases = []
    for lang, all_texts in texts.items():
        draw = random.Random("answers:" + lang)
        for answer in all_texts:
            for _ in range(4):
                gold = [draw.choice(all_texts) for _ in range(draw.randint(0, 3))]
                wanted = [words for words in (normalize(text, lang) for text in gold) if words] or [[]]
                given = normalize(answer, lang)
                cases.append({"lang": lang, "answer": answer, "gold": gold, "words": given,
                              "exact": float(max(given == words for words in wanted)),
                              "f1": max(f1(given, words) for words in wanted)})
    return cases


def rankings():
    draw = random.Random("rankings")
    cases = []
    for number in range(200):
        passages = [f"p{i}" for i in range(draw.randint(1, 40))]
        judgements = {id: draw.choice([1, 1, 1, 2, 3]) for id in draw.sample(passages, draw.randint(1, len(passages)))}
        ranked = draw.sample(passages, draw.randint(0, len(passages)))
        run = {"q": {id: float(len(ranked) - i) for i, id in enumerate(ranked)}}
        measures = {"ndcg_cut.10", "recall.5,10,100", "recip_rank"}
        # trec_eval says nothing of a query without results.
        found = pytrec_eval.RelevanceEvaluator({"q": judgements}, measures).evaluate(run).get("q") if ranked else None
        found = found or collections.defaultdict(float)
        cases.append({"ranked": ranked, "judgements": judgements, "ndcg@10": found["ndcg_cut_10"],
                      "recall@5": found["recall_5"], "recall@10": found["recall_10"], "recall@100": found["recall_100"],
                      "mrr": found["recip_rank"]})
    return cases


def abstention():
    draw = random.Random("abstention")
    cases = []
    for _ in range(50):
        attempts = []
        for _ in range(draw.randint(1, 30)):
            answerable = draw.random() < 0.7
            confidence = draw.choice([-1, round(draw.random(), 1), round(draw.random(), 1)])
            attempts.append([confidence, confidence >= 0 and answerable and draw.random() < confidence, answerable])
        confidence = numpy.array([a[0] for a in attempts])
        wrong = ~numpy.array([a[1] for a in attempts])
        answered = confidence >= 0
        risks = [wrong[confidence >= c].mean() for c in confidence[answered]]
        at = [(float(answered[confidence >= c].sum() / len(attempts)), float(wrong[confidence >= c].mean()))
              for c in confidence[answered]]
        precise = [coverage for coverage, risk in at if risk <= 0.2 + 1e-12]
        cases.append({"attempts": attempts, "area": float(numpy.mean(risks)) if risks else 0.0,
                      "coverage_at_80": max(precise, default=0.0)})
    return cases


def main():
    OUT.mkdir(exist_ok=True)
    for name, cases in [("answers", answers()), ("rankings", rankings()), ("abstention", abstention())]:
        text = "[\n" + ",\n".join(json.dumps(case, ensure_ascii=False, sort_keys=True) for case in cases) + "\n]\n"
        (OUT / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
