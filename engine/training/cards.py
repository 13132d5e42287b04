"""Writes the model cards and NOTICE-models.txt from the evaluations' JSON files.

    python cards.py --work work --models ../../deploy/models --date 2026-11-20
"""
import argparse
import json
from pathlib import Path

import common

SOURCES = """| data | licence | used for |
|---|---|---|
| SQuAD 1.1/2.0 dev (part), via SQuAD-explorer | CC BY-SA 4.0 | questions |
| SQuAD v1.1 in Portuguese (sample of nunorc/squad-v1.1-pt) | MIT; SQuAD CC BY-SA 4.0 | questions |
| FaQuAD (train) | CC BY 4.0 | questions |
| Pirá | CC0 1.0 | questions, translations |
| Natural Questions dev, oracle passages (lost-in-the-middle) | MIT; CC BY-SA 3.0 | questions |
| SelQA, QED, CLAP NQ, COVID-QA | Apache-2.0; CC BY-SA 3.0; Apache-2.0; Apache-2.0 | questions |
| QAMR (Wikipedia/Wikinews part), FairytaleQA, MedQuAD, PubMedQA, StrategyQA, QMSum | MIT; Apache-2.0; CC BY 4.0; MIT; MIT; MIT | questions |
| Wikipedia (2015 extract) | CC BY-SA 3.0 | text |
| AWS RDS, EC2 and S3 guides | CC BY-SA 4.0 | text |
| OWASP Cheat Sheet Series | CC BY-SA 4.0 | text |
| MDN in Brazilian Portuguese | CC BY-SA 2.5 | text |
| Microsoft .NET and Dynamics 365 documentation in Portuguese | CC BY 4.0 | text, bilingual headings |
| Python documentation in English and Portuguese | PSF-2.0; CC0 1.0 | text, translations |
| React documentation in Portuguese, Open Source Guides, Kubernetes documentation (2017) | CC BY 4.0 | text |
| OpenStax Business, Political Science, Philosophy (CC BY editions) | CC BY 4.0 | text |
| ELTeC novels (English, Portuguese) | CC BY 4.0 | a little text |
| PEPs, 18F handbook, World Factbook | public domain / CC0 | text |
| Rust book, Swift Evolution | MIT or Apache-2.0; Apache-2.0 | text |
| OpenWordnet-PT; WordNet 3.0 | CC BY-SA 3.0; WordNet licence | lexicon of the embedder, glossed questions of the reader |"""

NOTICE = """Built-in models of Lastro: attributions

embedder/   derived from all-MiniLM-L6-v2 (sentence-transformers; nreimers/MiniLM-L6-H384-uncased), Apache License 2.0.
            Changed: vocabulary extended with Portuguese word pieces, weights trained further by multilingual distillation, stored as F16.
{reader}decoder/    trained from scratch; its token vectors started from those of the embedder (Apache License 2.0).

No training data are contained in this folder. The models were trained on text and questions from the sources below, which ask for
attribution; where such data are redistributed, the share-alike licences (CC BY-SA) apply to the data.

{sources}

WordNet 3.0: Copyright 2006 by Princeton University. All rights reserved. OpenWordnet-PT: Valeria de Paiva, Alexandre Rademaker and others.
FaQuAD: Hélio Fonseca Sayama, Anderson Viçoso Araujo, Eraldo Rezende Fernandes. Pirá: C4AI. MedQuAD: Asma Ben Abacha, Dina Demner-Fushman.
ELTeC: COST Action Distant Reading. OpenStax: Rice University. Microsoft, Amazon Web Services, OWASP Foundation, Mozilla contributors,
Meta Platforms, the Kubernetes authors and Wikipedia contributors hold the rights in their texts.
"""


READER = """reader/     derived from the embedder (Apache License 2.0): its layers trained further, heads added; the token vectors are the embedder's.
"""


def read(path):
    return json.loads(path.read_text())


def last(path):
    return json.loads(path.read_text().splitlines()[-1])


def embedder_card(work, date):
    t, s, run = read(work / "eval_teacher.json"), read(work / "eval_embedder.json"), last(work / "embedder_run" / "log.jsonl")
    rows = []
    for lang in ("en", "pt"):
        for k, v in s[f"retrieval_{lang}"].items():
            if isinstance(v, dict):
                o = t[f"retrieval_{lang}"][k]
                name = "**mean**" if k == "mean" else k
                rows.append(f"| {lang} | {name} | {v.get('n', '')} | {o['mrr10']:.3f} | {v['mrr10']:.3f} | {o['recall5']:.3f} | {v['recall5']:.3f} |")
    for a, b in (("pt", "en"), ("en", "pt")):
        o, v = t[f"pira_question_{a}_passage_{b}"], s[f"pira_question_{a}_passage_{b}"]
        rows.append(f"| {a} -> {b} | pira, question {a}, passage {b} | {v['n']} | {o['mrr10']:.3f} | {v['mrr10']:.3f} | {o['recall5']:.3f} | {v['recall5']:.3f} |")
    bt, bs, rt, rs = t["bitext"], s["bitext"], t["rag_product_docs"], s["rag_product_docs"]
    return f"""# Lastro embedder: English and Portuguese sentences

A sentence encoder for retrieval in English and Portuguese, across both languages too: BERT, 6 layers x 384, mean pooling, unit vectors of 384
dimensions, no query or passage prefixes, at most 256 tokens. Uncased; accents are stripped by the tokenizer. Weights in F16.

Started from all-MiniLM-L6-v2 (Apache-2.0): 10,500 Portuguese word pieces added to the vocabulary (41,022 entries), then trained so that Portuguese
translations fall on the teacher's vector of the English text. English keeps the teacher's vectors up to a small error.

## Training

Multilingual distillation with the recipe in `engine/training`: translated sentences and paragraphs, bilingual headings, a WordNet lexicon and English
sentences glossed word by word regress to the teacher's vector (cosine, plus an in-batch contrast); English text regresses to the teacher; Portuguese
questions and headings learn to find their passage in the batch. {run['step']} steps, {run['tokens'] / 1e6:.1f} M tokens, {run['minutes']:.0f} minutes on one
thread of a shared CPU (AdamW, cosine schedule, bf16 products, fp32 masters). ![loss](loss.png)

## Measured, {date}

Questions of held-out titles against every held-out passage of the language ({s['retrieval_en']['passages']} English, {s['retrieval_pt']['passages']} Portuguese).
Teacher = all-MiniLM-L6-v2 itself.

| | set | questions | MRR@10 teacher | MRR@10 this | Recall@5 teacher | Recall@5 this |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}

Bitext retrieval, {bs['n']} held-out pairs of the Python documentation: English to Portuguese {bt['en_to_pt']:.3f} (teacher) -> {bs['en_to_pt']:.3f}, Portuguese to
English {bt['pt_to_en']:.3f} -> {bs['pt_to_en']:.3f}; mean cosine of a pair {bt['cosine']:.3f} -> {bs['cosine']:.3f}. These texts share many code names: an easy test.

rag_product_docs (evaluation only, {rs['n']} queries, English): nDCG@10 {rt['ndcg10']:.3f} (teacher) -> {rs['ndcg10']:.3f}, Recall@10 {rt['recall10']:.3f} -> {rs['recall10']:.3f}.

## Weak points

- The aligned text is technical (Python documentation, product headings). General Portuguese vocabulary comes from a lexicon and glossed English, so
  idiom, literature, law and medicine in Portuguese are weaker than English.
- Portuguese is mostly Brazilian; much of it is translation, part of it by machine.
- The Portuguese dev sets are small and partly machine-translated: differences of a few points are noise. The teacher has seen some of
  the English sets in its own training.
- Other languages, code search and texts beyond 256 tokens are outside its use.

## Use

Retrieval, clustering and ranking inside Lastro. A change of this model changes the collection's fingerprint: re-embed.

## Data

{SOURCES}
"""


def decoder_card(work, date):
    e, run = read(work / "eval_decoder.json"), last(work / "decoder_run" / "log.jsonl")
    p = e["perplexity"]
    share = lambda q, k: f"{q.get(k, 0) / q['questions']:.3f}"
    rows = "\n".join(f"| {'is shown' if k.startswith('present') else 'is not shown'} | {k[-2:]} | {q['questions']} | "
                     + (f"{share(q, 'right')} | {share(q, 'first')} | " if k.startswith("present") else "| | ") + f"{share(q, 'declined')} |"
                     for k, q in sorted(e["quoted"].items(), reverse=True))
    return f"""# Lastro decoder: quotes the sentence that answers

A small Llama (6 layers x 256, 4 heads, 2 KV heads, SwiGLU 704, RoPE 10,000, tied embeddings, 6.5 M parameters, context 2,048, bf16) with a byte-level BPE of
8,192 entries for English and Portuguese. It does one thing: given a few numbered sentences that may answer a question, the likeliest first, it writes the
one that answers and its number, or `<|none|>`. Lastro lets it write nothing but what stands in them. It is not a chat model and knows nothing of its own.

Prompt `lastro-qa-v1` (tokens in `lastro_prompt.json`): `<|bos|>`, for each text i `<|passage|>` + "i\\n" + text, `<|question|>` + question + `<|answer|>`;
then " " + sentence + `<|cite|>` + "i" + `<|eos|>`, or `<|none|>` `<|eos|>`. Text is encoded with special tokens off.

## Training

{run['step']} steps, {run['tokens'] / 1e6:.2f} M tokens in {run["minutes"]:.0f} minutes of two cores; Muon for the matrices, AdamW for embeddings and norms, fp32. Question sets and question-like
cues with the gold sentence among up to three others of its passage, or left out; a smaller share of prompts of whole passages, and of plain text. The
token vectors start from the embedder's, and a copy circuit is planted in the first two layers (see `engine/training/README.md`). ![loss](loss.png)

## Measured, {date}

Held-out titles; two to four sentences of the passage and of another, ranked as a reader would (`evaluate_decoder.py`), greedy:

| the gold sentence | language | questions | it is quoted | it is the first | declined |
|---|---|---|---|---|---|
{rows}

Perplexity per token on held-out documents: English {p['en']['per_token']} ({p['en']['bits_per_byte']} bits per byte), Portuguese {p['pt']['per_token']} ({p['pt']['bits_per_byte']}).
As a language model it is weak.

## Weak points

- It has seen few tokens: compare how often it quotes the gold sentence with how often that is the first. Lastro shows it only those sentences
  beside the first that are ranked at least half as high.
- Whether a question can be answered it hardly tells: Lastro lets it decline only where that is ten times likelier than all it could quote, and its reader
  decides before.
- Small held-out sets; Portuguese ones are partly machine-translated.

## Use

GENERATE answers of Lastro where no larger decoder is at hand. Not for open-ended text.

## Data

{SOURCES}
"""


def answers_table(work):
    """What lastro eval measured on held-out titles with the reader as it is shipped; "" where it was not run."""
    rows = []
    for lang in ("en", "pt"):
        for how, name in (("given", "the passage it was asked of"), ("open", "all passages")):
            path = work / f"answers_{how}_{lang}" / "report.json"
            if not path.exists():
                continue
            r = read(path)
            m = {x["name"]: x["mean"] for x in r["groups"][0]["metrics"]}
            a = r["abstention"]
            refused = f"{100 * a['refused_unanswerable']:.0f}%" if a.get("unanswerable") else "-"
            rows.append(f"| {lang} | {name} ({r['passages']}) | {r['groups'][0]['questions']} | {100 * m['forced.exact_match']:.1f} | {100 * m['forced.f1']:.1f} | "
                        f"{m.get('hybrid.recall@5', 0):.3f} | {a.get('area', 0):.3f} | {100 * a.get('coverage', 0):.0f}% | {refused} |")
    if not rows:
        return ""
    return """
Answers of `lastro eval` on held-out titles that it was not calibrated by, with this file: exact match and F1 of every answer, Recall@5 of the search, area
under the risk-coverage curve, and at the threshold where 80% of the answers are right the share of all questions answered and of the unanswerable refused.

| language | asked of | questions | EM | F1 | Recall@5 | area | answered | refused |
|---|---|---|---|---|---|---|---|---|
""" + "\n".join(rows) + "\n"


def reader_card(work, date):
    e, overlap = read(work / "eval_reader.json"), read(work / "overlap_reader.json")
    first, more, titled = (last(work / name / "log.jsonl") for name in ("reader_run", "reader_more", "reader_titled"))
    spans = "\n".join(f"| {k} | {v['n']} | {v['em']:.1f} | {v['f1']:.1f} |" for k, v in e["spans"].items())
    ranks = "\n".join(f"| {k} | {v['n']} | {v['embedder']:.3f} | {v['reader']:.3f} | {v['blended']:.3f} |" for k, v in e["ranking"].items())
    a, c = e["answerability"], e["calibration"]
    names = {"relevance": "relevance", "span": "span score", "together": "relevance + span score / 2"}
    auc = "\n".join(f"| {n} | {a[k]['auc']:.3f} | " + " | ".join(
        f"{100 * p['coverage']:.0f}% / {100 * p['refused']:.0f}%" if p else "-" for p in (a[k]["answer_right"].get(w) for w in ("0.7", "0.8", "0.9"))) + " |"
        for k, n in names.items())
    shared = "\n".join(f"| {k} | {v['passages_shared']} of {v['passages']} | {v['questions_shared']} of {v['questions']} |" for k, v in sorted(overlap.items()))
    bins = "\n".join(f"| {p:.2f} | {y:.2f} | {n} |" for n, p, y in c["bins"])
    return f"""# Lastro reader: does this passage answer, and where

A cross-encoder for English and Portuguese, across both languages too: BERT, 6 layers x 384, reads question and passage together (windows of 384 tokens
that overlap by 128; questions up to 48; before the passage up to 32 of its title and headings) and gives the logit that the passage answers, start and end logits
of the answer ([CLS] stands for "none") and from both a calibrated probability. Uncased; accents are stripped. Weights in 8-bit blocks (Q8_0) in one GGUF file, as `lastro quantize` wrote it from F16: tensors of llama.cpp's bert, `cls` and
`cls.output` for the relevance, `lastro.span_head` for the answer; `lastro.reader` in its metadata holds limits, calibration, and how its scores are weighed with what search and embedder think of passage and sentence.

## Training

Started from the embedder beside it, whose token vectors it keeps. Questions with their passage, with that passage without the sentence that answers, and with
passages that share words with the question but do not answer; a tenth of the draws are gap questions made of Portuguese and glossed English text, a seventh English examples with
words replaced by Portuguese ones. {first['step']} steps, {first['tokens'] / 1e6:.2f} M tokens, {first['minutes']:.0f} minutes of wall clock beside other work on two cores (AdamW, linear decay, fp32).
Then, from there, {more['step']} steps more ({more['tokens'] / 1e6:.2f} M tokens, {more['minutes']:.0f} minutes) at six tenths of the rate, with questions altered by rule so that their passage does
not answer them, and with titles before half of the passages. From the mean of both runs' weights (0.35 and 0.65), {titled['step']} steps more ({titled['tokens'] / 1e6:.2f} M tokens,
{titled['minutes']:.0f} minutes of one core) at four tenths of the rate with titles before four in five. The weights are the mean of where that began and where it ended: each
mean is better than its ends on the titles that it was calibrated by.

![loss](loss.png) ![held-out F1 during training](learning.png)

## Measured, {date}

Answers in the gold passage, held-out titles (SQuAD's normalisation; in Portuguese its articles):

| set | questions | EM | F1 |
|---|---|---|---|
{spans}

Answerability on SQuAD 2.0 style questions ({a['answerable']} answerable, {a['unanswerable']} adversarial unanswerable): AUC, then at thresholds where 70, 80 and 90% of the
answers given are right (F1 at least 0.5): share of the answerable questions that are answered / of the unanswerable ones that are refused.

| score | AUC | 70% right | 80% right | 90% right |
|---|---|---|---|---|
{auc}

Ranking, nDCG@10: the embedder's first 20 of all held-out passages of the language, re-ranked. Blended: the reader's probability plus the reciprocal of the
embedder's place.

| set | questions | embedder | reader | blended |
|---|---|---|---|---|
{ranks}

Calibration, {c['pairs']} pairs (gold passages, near ones without the answer, unanswerable questions), fitted on half, measured on the other half: AUC {c['auc']:.3f}, expected
calibration error {c['ece']:.3f}. This is the start; what ships is calibrated anew by whole answers (calibrate_reader.py).

| told | true | pairs |
|---|---|---|
{bins}
{answers_table(work)}
## Overlap

No title is in both parts; Pirá has no titles and is split by question, so that its passages are in both. What still shares a run of 13 words (passages) or 8 words (questions) with anything trained on:

| held-out set | passages | questions |
|---|---|---|
{shared}

## Weak points

- Trained briefly: see the learning curve (each new rise of the rate set it back; the means are above their ends).
- Questions that a passage on the topic does not answer (SQuAD 2.0 style) are its weakest side: see the table.
- Portuguese: few native questions; much is translated or glossed text. Answers longer than 30 tokens are cut.

## Use

Re-ranking, extractive answers, checks of claims and abstention inside Lastro, where `--reader` names no other. Scores of two passages may be compared, also across languages.

## Data

{SOURCES}
"""


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--work", required=True, type=Path)
    ap.add_argument("--models", required=True, type=Path)
    ap.add_argument("--date", default="2026-11-20")
    args = ap.parse_args()
    if (args.work / "eval_embedder.json").exists():
        common.write_atomic(args.models / "embedder" / "CARD.md", embedder_card(args.work, args.date))
    if (args.work / "eval_decoder.json").exists():
        common.write_atomic(args.models / "decoder" / "CARD.md", decoder_card(args.work, args.date, args.models / "decoder"))
    if (args.work / "eval_reader.json").exists():
        common.write_atomic(args.models / "reader" / "CARD.md", reader_card(args.work, args.date))
    common.write_atomic(args.models / "NOTICE-models.txt", NOTICE.format(sources=SOURCES, reader=READER if (args.models / "reader").exists() else ""))


if __name__ == "__main__":
    main()
