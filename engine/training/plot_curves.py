"""Draws curves of a run's log, or of runs that followed each other, into a small PNG for the model card.

    python plot_curves.py --log work/decoder_run/log.jsonl --keys loss_qa loss_cue loss_lm --out ../../deploy/models/decoder/loss.png
"""
import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--log", required=True, type=Path, nargs="+")
    ap.add_argument("--keys", required=True, nargs="+")
    ap.add_argument("--label", default="smoothed loss")
    ap.add_argument("--out", required=True, type=Path)
    args = ap.parse_args()
    recs, before = [], 0
    for log in args.log:
        own = [json.loads(x) for x in log.read_text().splitlines()]
        recs += [{**r, "tokens": r["tokens"] + before} for r in own]
        before = recs[-1]["tokens"]
    fig, ax = plt.subplots(figsize=(5.2, 3), dpi=90)
    for k in args.keys:
        pts = [(r["tokens"] / 1e6, r[k]) for r in recs if k in r]
        ax.plot(*zip(*pts), label=k, linewidth=1.2, marker="." if len(pts) < 30 else None)
    ax.set_xlabel("training tokens (millions)")
    ax.set_ylabel(args.label)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    fig.tight_layout()
    fig.savefig(args.out)


if __name__ == "__main__":
    main()
