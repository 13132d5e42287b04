#!/usr/bin/python3
"""Many streams at once, beside llama.cpp's server: prompts of 1,500 tokens, 64 new ones; tokens/s, time to the first
token, between tokens and to the last one, as clients see them.

    tests/bench/serving.py [--llama-server PROGRAM] [--model FILE.gguf|FOLDER] [--streams 1 4 16 64] [--requests 128]

Each of N streams asks for one text after another, --requests of all streams together (at least one a stream). Both
servers read the same GGUF file (of a folder one is written, bf16), compute the same token ids and start anew for each
number of streams, in turn. No two prompts begin alike, and nothing is kept from one to the next. A refused request is
sent again after a moment; its time to the first token counts from the first try.
"""
import argparse
import statistics
import tempfile
import threading
import time

from support import (SOURCE, Reply, add_server_arguments, make_servers, percentile, quantized_decoder, random_prompt,
                     table_head, table_line)


def run_streams(server, streams, each, args):
    """Replies to `each` requests of every stream, the seconds they took, and the client's own processor time."""
    server.stream(random_prompt("warm-up", 64), 4, Reply())
    replies, failures = [], []

    def run(stream):
        try:
            for i in range(each):
                prompt = random_prompt(f"{stream}/{i}", args.prompt_tokens)
                reply = Reply()
                server.stream(prompt, args.new_tokens, reply)
                replies.append(reply)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(streams)]
    start, client = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return replies, time.perf_counter() - start, time.process_time() - client


def figures(replies, seconds, client, args):
    first = [r.times[0] - r.asked for r in replies]
    last = [r.times[-1] - r.asked for r in replies]
    gaps = [gap for r in replies for _, gap in r.gaps()]
    generated = sum(r.tokens for r in replies)
    return {
        "all tokens/s": (generated + args.prompt_tokens * len(replies)) / seconds,
        "generated tokens/s": generated / seconds,
        "first token p50, ms": 1000 * percentile(first, 0.5),
        "first token p99, ms": 1000 * percentile(first, 0.99),
        "between tokens p50, ms": 1000 * percentile(gaps, 0.5),
        "between tokens p99, ms": 1000 * percentile(gaps, 0.99),
        "last token p50, ms": 1000 * percentile(last, 0.5),
        "last token p99, ms": 1000 * percentile(last, 0.99),
        "new tokens a request": generated / len(replies),
        "refused": sum(r.refused for r in replies),
        "client's share of a core": client / seconds,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=SOURCE / "deploy/models/decoder")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--requests", type=int, default=128)
    parser.add_argument("--prompt-tokens", type=int, default=1500)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=1, help="medians of this many runs")
    add_server_arguments(parser)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = quantized_decoder(args.model, folder)
        for streams in args.streams:
            sides = make_servers(args, model, streams, args.prompt_tokens + args.new_tokens)
            each = -(-args.requests // streams)
            runs = [[] for _ in sides]
            for _ in range(args.repeats):
                for side, start in zip(runs, sides):
                    with start() as server:
                        side.append(figures(*run_streams(server, streams, each, args), args))
            print()
            table_head(f"{streams} streams, {each} requests each", len(sides))
            for key in runs[0][0]:
                table_line(key, *(statistics.median(run[key] for run in side) for side in runs),
                           digits=2 if "share" in key else 1)


if __name__ == "__main__":
    main()
