"""Exports a checkpoint of train_reader.py as a model folder, calibrated as evaluate_reader.py found.

    python export_reader.py --checkpoint work/reader_run/checkpoint.pt --embedder ../../deploy/models/embedder --eval work/eval_reader.json \\
        --out work/reader_model
"""
import argparse
import json
from pathlib import Path

import evaluate_reader
import export
from reader_model import LONGEST_CONTEXT, LONGEST_QUESTION, LONGEST_SPAN

# Until calibrate_reader.py fits them.
FIRST_WEIGHTS = {"bias": -2.0, "relevance": 0.0, "span_score": 0.3, "sentence_cosine": 3.0, "passage_cosine": 0.0, "word_overlap": 1.0, "search_distance": -6.0}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--checkpoint", required=True, type=Path)
    ap.add_argument("--embedder", required=True, type=Path)
    ap.add_argument("--eval", required=True, type=Path)
    ap.add_argument("--out", required=True, type=Path)
    args = ap.parse_args()
    fitted = json.loads(args.eval.read_text())["calibration"]
    settings = {"window_tokens": evaluate_reader.WINDOW, "overlap_tokens": evaluate_reader.OVERLAP, "question_tokens": LONGEST_QUESTION,
                "context_tokens": LONGEST_CONTEXT, "answer_tokens": LONGEST_SPAN, **{k: round(fitted[k], 4) for k in ("relevance_weight", "span_weight", "bias")},
                "answer_weights": FIRST_WEIGHTS}
    export.reader(evaluate_reader.load(args.checkpoint, args.embedder).state(), args.embedder, args.out, settings)


if __name__ == "__main__":
    main()
