"""Calibrates a reader by the answers that `lastro eval` got with it, and stores how risky each threshold is.

    python calibrate_reader.py --questions work/fit_en/questions.jsonl work/fit_pt/questions.jsonl --reader work/reader_model

The questions are of held-out titles, asked of many passages, some without an answer (tests/bench/answer_sets.py makes them).
The evidence of each answer becomes the probability that it is right: config.json's relevance_weight, span_weight and bias are
scaled by a logistic fit, so that a second run changes nothing. `calibration` gets rows [threshold, risk, coverage].
"""
import argparse
import json
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

import common

FEWEST = 20  # answers behind a row of the table


def attempts(paths):
    """Evidence of each answer (nan: none was found) and whether it is right, for every question that can be judged."""
    evidence, right = [], []
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            question = json.loads(line)
            answer = question.get("answer", {})
            if not question.get("gold_answers") and question.get("answerable"):
                continue
            evidence.append(answer.get("evidence", 0.0) if answer.get("text") else np.nan)
            right.append(bool(answer.get("correct")))
    return np.array(evidence), np.array(right)


def fit(logits, right):
    """-> (scale, shift) of the logits by maximum likelihood."""
    loss = lambda w: np.mean(np.logaddexp(0, np.where(right, -1, 1) * (w[0] * logits + w[1])))
    return minimize(loss, [1.0, 0.0]).x


def table(probability, right, questions):
    rows = []
    for threshold in np.arange(0.99, 0.0, -0.01):
        told = probability >= threshold
        if told.sum() < FEWEST:
            continue
        risk = (np.sum(~right[told]) + 1) / (told.sum() + 2)  # Laplace: a few right ones prove little
        rows.append([round(float(threshold), 2), round(float(risk), 4), round(float(told.sum() / questions), 4)])
    return rows


def calibration_error(probability, right, bins=10):
    which = np.minimum((probability * bins).astype(int), bins - 1)
    return sum(np.sum(which == k) * abs(probability[which == k].mean() - right[which == k].mean()) for k in range(bins) if (which == k).any()) / len(right)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--questions", required=True, type=Path, nargs="+", help="questions.jsonl of lastro eval --out")
    ap.add_argument("--reader", required=True, type=Path, help="the folder that answered; its config.json is rewritten")
    args = ap.parse_args()
    evidence, right = attempts(args.questions)
    found = ~np.isnan(evidence)
    p = np.clip(evidence[found], 1e-9, 1 - 1e-9)
    logits, right = np.log(p / (1 - p)), right[found]
    scale, shift = fit(logits, right)
    assert scale > 0, "answers told with more evidence are not right more often"
    probability = 1 / (1 + np.exp(-(scale * logits + shift)))
    path = args.reader / "config.json"
    config = json.loads(path.read_text())
    section = config["lastro_reader"]
    section["relevance_weight"] = round(scale * section["relevance_weight"], 6)
    section["span_weight"] = round(scale * section["span_weight"], 6)
    section["bias"] = round(scale * section["bias"] + shift, 6)
    section["calibration"] = table(probability, right, len(evidence))
    common.write_json(path, config)
    print(f"{len(evidence)} questions, {right.mean():.3f} answered rightly; calibration error {calibration_error(p, right):.3f} before, "
          f"{calibration_error(probability, right):.3f} after (of the same questions)")
    for row in section["calibration"][::10]:
        print("threshold %.2f risk %.3f coverage %.3f" % tuple(row))


if __name__ == "__main__":
    main()
