"""Writes the fitted quote-scoring weights and thresholds of evaluate_decoder.py into the decoder's lastro_prompt.json.

    python write_weights.py --json work/eval_decoder.json --decoder ../../deploy/models/decoder

The decoder's own score enters only if the held-out half shows a gain of more than two standard errors.
"""
import argparse
import json
import math
from pathlib import Path

import common


def decoder_helps(e):
    p, q, n = e["top1"]["combination"], e["top1"]["combination_without_decoder"], e["questions"]["test"]
    return p - q > 2 * math.sqrt(max(q * (1 - q), 1e-6) / n)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--json", required=True, type=Path)
    ap.add_argument("--decoder", required=True, type=Path)
    args = ap.parse_args()
    e, path = json.loads(args.json.read_text()), args.decoder / "lastro_prompt.json"
    a, w = e["answerability"], e["weights"]
    fitted = {k: w[k] for k in ("decoder", "embedder", "lexical", "passage")}
    without = {"decoder": 0.0, **e["weights_without_decoder"]}
    spec = json.loads(path.read_text())
    spec["quote_scoring"] = {
        "description": "score(s) = decoder * softmax_over_candidates(decoder_score(s) / temperature) + embedder * cos(question, s)"
                       " + passage * cos(question, passage of s) + lexical * overlap(question, s); the candidate with the highest score is quoted",
        "weights": fitted if decoder_helps(e) else without,
        "decoder_is_used": decoder_helps(e),
        "weights_with_decoder": fitted,
        "weights_without_decoder": without,
        "decoder_score": w["decoder_score"],
        "decoder_scores": {"logp": "log p of the tokens of encode(' ' + s) after the prompt with the question",
                           "pmi": "logp minus the same after the prompt with an empty question",
                           "_sum": "over all tokens", "_mean": "divided by the number of tokens", "_head": "over the first 4 tokens"},
        "temperature": w["temperature"],
        "lexical": "share of the question's distinct content words found in s, weighted by idf = ln(1 + N / df) over the N candidates"
                   " (df 0.5 for words in none); a content word is lower-cased, longer than one character, not a stop word (prompt.py),"
                   " cut to 6 characters, or stripped of final s where it has 6 or fewer",
        "answerability": {
            "note": "each threshold keeps about 90% of the answerable questions on the half it was fitted on",
            "best_lexical_threshold": a["best_lex"]["threshold_90"],
            "best_cosine_threshold": a["best_cos"]["threshold_90"],
            "best_passage_cosine_threshold": a["best_passage_cos"]["threshold_90"],
            "logistic": {"model": "sigmoid(bias + sum(weight * input)); answer if >= threshold; p_none = p(<|none|>) as the first answer token",
                         **a["logistic_model"], "threshold": a["logistic"]["threshold_90"]}},
        "fitted_on": e["questions"]["fit"], "tested_on": e["questions"]["test"]}
    common.write_json(path, spec)
    print(json.dumps(spec["quote_scoring"]["weights"]), "decoder used:", decoder_helps(e))


if __name__ == "__main__":
    main()
