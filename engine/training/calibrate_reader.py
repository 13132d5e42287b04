"""Calibrates a reader by the answers that `lastro eval` got with it: what speaks for an answer is weighed, and stored how risky each threshold is.

    python calibrate_reader.py --questions work/fit_en/questions.jsonl work/fit_pt/questions.jsonl --reader work/reader_model

The questions are of held-out titles, asked of many passages, some without an answer (tests/bench/answer_sets.py makes them).
config.json's `answer_weights`, by which the likeliest answer is told, become a logistic fit over what the reader found in each
passage; `probability_weights` one over the answers that come first by it: how likely the answer given is right. `calibration` gets
rows [threshold, risk, coverage].
"""
import argparse
import json
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

import common

NAMES = ("relevance", "span_score", "sentence_cosine", "passage_cosine", "word_overlap", "search_distance")
# The sign that each weight may have: what speaks for an answer never speaks against it elsewhere.
SIGNS = (1, 1, 1, 1, 1, -1)
RIDGE = 2e-3  # of weights of standardised features: the questions are some hundreds
FEWEST = 20  # answers behind a row of the table


def attempts(paths):
    """Of each question that can be judged: the features of what was found in its passages, and which of it is right."""
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            question = json.loads(line)
            if question.get("answerable") and not question.get("gold_answers"):
                continue
            readings = question.get("answer", {}).get("readings", [])
            rows = [[reading.get("evidence", {}).get(name, 0.0) for name in NAMES] for reading in readings]
            yield np.array(rows).reshape(-1, len(NAMES)), np.array([reading.get("correct", False) for reading in readings], bool)


def fit_weights(questions):
    """-> (bias, weights): logistic regression over the readings, [rows [n, features], right [n]] of each question weighing the same."""
    rows, right = np.concatenate([r for r, _ in questions]), np.concatenate([y for _, y in questions])
    share = np.concatenate([np.full(len(y), 1 / max(1, len(y))) for _, y in questions]) / len(questions)
    mean, scale = rows.mean(0), rows.std(0) + 1e-9
    z = (rows - mean) / scale

    def loss(w):
        margin = np.where(right, -1, 1) * (w[0] + z @ w[1:])
        pull = -share / (1 + np.exp(-margin)) * np.where(right, 1, -1)
        return share @ np.logaddexp(0, margin) + RIDGE * w[1:] @ w[1:], np.concatenate(([pull.sum()], z.T @ pull + 2 * RIDGE * w[1:]))

    bounds = [(None, None)] + [(0, None) if sign > 0 else (None, 0) for sign in SIGNS]
    w = minimize(loss, np.zeros(1 + len(NAMES)), jac=True, bounds=bounds, method="L-BFGS-B").x
    return w[0] - w[1:] @ (mean / scale), w[1:] / scale


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
    asked = list(attempts(args.questions))
    questions = [q for q in asked if len(q[1])]
    bias, weights = fit_weights(questions)
    likeliest = [(r[[k]], y[[k]]) for r, y in questions for k in [(r @ weights).argmax()]]
    p_bias, p_weights = fit_weights(likeliest)
    right = np.concatenate([y for _, y in likeliest])
    probability = 1 / (1 + np.exp(-(p_bias + np.concatenate([r for r, _ in likeliest]) @ p_weights)))
    path = args.reader / "config.json"
    config = json.loads(path.read_text())
    section = config["lastro_reader"]
    for name, values in (("answer_weights", (bias, *weights)), ("probability_weights", (p_bias, *p_weights))):
        section[name] = {n: round(float(w), 5) for n, w in zip(("bias", *NAMES), values)}
        print(name, section[name])
    section["calibration"] = table(probability, right, len(asked))
    common.write_json(path, config)
    print(f"{len(asked)} questions, {right.mean():.3f} answered rightly; calibration error {calibration_error(probability, right):.3f} (of the same questions)")
    for row in section["calibration"][::10]:
        print("threshold %.2f risk %.3f coverage %.3f" % tuple(row))


if __name__ == "__main__":
    main()
