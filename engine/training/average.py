"""Writes the checkpoint whose weights are the mean of two: of a run and of another that went on from it (Wortsman et al. 2022).

    python average.py --checkpoints work/reader_run/checkpoint.pt work/reader_more/checkpoint.pt --share 0.65 --out work/reader.pt
"""
import argparse
from pathlib import Path

import torch


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--checkpoints", required=True, type=Path, nargs=2)
    ap.add_argument("--share", required=True, type=float, help="of the second")
    ap.add_argument("--out", required=True, type=Path)
    args = ap.parse_args()
    first, second = (torch.load(path)["model"] for path in args.checkpoints)
    torch.save({"model": {name: (1 - args.share) * first[name] + args.share * second[name] for name in first}}, args.out)


if __name__ == "__main__":
    main()
