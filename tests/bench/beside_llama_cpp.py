#!/usr/bin/env python3
"""Lastro beside llama.cpp on this machine: the same GGUF files, in turn, medians and their ratio; and beside what memory
gives: how many tokens a second it would be if a token took no longer than reading every weight once (read_rate, in turn).

    tests/bench/beside_llama_cpp.py LLAMA_BENCH [--build build/release] [--files FOLDER] [--threads 2] [--types bf16 ...]
                                    [--repeats 5] [--no-long-prompt]

LLAMA_BENCH is the llama-bench of a native build of llama.cpp. The files, of the shape of Llama-3.2-1B with random
weights, are made in FOLDER unless they are there (6 GB).
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
TYPES = ["bf16", "q8_0", "q4_0", "q4_k_m"]


def make_files(build, folder):
    folder.mkdir(parents=True, exist_ok=True)
    missing = [t for t in TYPES if not (folder / f"{t}.gguf").exists()]
    if missing and not (folder / "model" / "model.safetensors").exists():
        subprocess.run([build / "tests/bench/random_model", "llama-3.2-1b", folder / "model"], check=True)
    for t in missing:
        subprocess.run([build / "services/lastro", "quantize", folder / "model", folder / f"{t}.gguf", "--type", t],
                       check=True, stdout=subprocess.DEVNULL)


def run_and_peak(command):
    """Standard output, and the most memory that the command held."""
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{command[0]} failed")
    return json.loads(out), usage.ru_maxrss * 1024


def peer(bench, file, prompt, generated, threads):
    tests, peak = run_and_peak([bench, "-m", file, "-p", prompt, "-n", generated, "-t", threads, "-r", 1, "-o", "json"])
    rates = {"prompt" if t["n_prompt"] else "generated": t["avg_ts"] for t in tests}
    return {**rates, "peak": peak}


def ours(build, file, prompt, generated, threads):
    result, peak = run_and_peak([build / "services/lastro", "bench", "--model", file, "--prompt-tokens", prompt,
                                 "--gen-tokens", generated, "--threads", threads, "--repeat", 1, "--rates-only", "--json"])
    return {"prompt": result["prompt_tokens_per_s"], "generated": result["gen_tokens_per_s"], "peak": peak}


def read_rate(build, threads):
    """Bytes a second."""
    result, _ = run_and_peak([build / "tests/bench/read_rate", "--threads", threads])
    return result["gb_per_s"] * 1e9


def compare(args, file, prompt, generated, repeats):
    runs, ceilings = [], []
    for _ in range(repeats):
        ceilings.append(read_rate(args.build, args.threads) / file.stat().st_size)
        runs.append((peer(args.llama_bench, file, prompt, generated, args.threads),
                     ours(args.build, file, prompt, generated, args.threads)))
    medians = {key: tuple(statistics.median(pair[side][key] for pair in runs) for side in (0, 1)) for key in runs[0][1]}
    return medians, statistics.median(ceilings)


def line(name, what, pair, unit=1.0, digits=1):
    theirs, mine = pair[0] / unit, pair[1] / unit
    print(f"| {name} | {what} | {theirs:.{digits}f} | {mine:.{digits}f} | {mine / theirs:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("llama_bench", type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--files", type=pathlib.Path, default=ROOT / "build/bench_files")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--types", nargs="+", choices=TYPES, default=TYPES)
    parser.add_argument("--no-long-prompt", action="store_true", help="leave out the prompt of 2048")
    args = parser.parse_args()
    make_files(args.build, args.files)
    print("| file | what | llama.cpp | Lastro | ratio |\n|---|---|---|---|---|")
    for t in args.types:
        file = args.files / f"{t}.gguf"
        short, ceiling = compare(args, file, 512, 64, args.repeats)
        line(t, "prompt of 512, tokens/s", short["prompt"])
        line(t, "64 generated, tokens/s", short["generated"])
        shares = [f"{rate / ceiling:.2f}" for rate in short["generated"]]
        print(f"| {t} | share of the {ceiling:.1f} tokens/s that memory gives | {shares[0]} | {shares[1]} | |", flush=True)
        line(t, "peak memory, MB", short["peak"], 1e6, 0)
        if args.no_long_prompt:
            continue
        line(t, "prompt of 2048, tokens/s", compare(args, file, 2048, 1, max(3, args.repeats // 2))[0]["prompt"])


if __name__ == "__main__":
    main()
