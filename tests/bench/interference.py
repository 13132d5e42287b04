#!/usr/bin/python3
"""What one long prompt does to the others: streams decode steadily, then a prompt of 8,000 tokens arrives. Time between
tokens of the others before, and while the prompt is computed.

    tests/bench/interference.py [--llama-server PROGRAM] [--model FILE.gguf|FOLDER] [--others 4] [--prompt-tokens 8000]

Without --model: the built-in decoder, whose context is said to be longer than it is, which changes no time. The servers
read the same GGUF file (of a folder one is written, bf16). "While" is the server's own time for the prompt, up to its
first token; what it waited before that, until the server let it in, is told apart. The aim: at most 3 times the p99 of
before.
"""
import argparse
import json
import pathlib
import shutil
import tempfile
import threading
import time

from support import (SOURCE, Reply, add_server_arguments, make_servers, percentile, quantized_decoder, random_prompt,
                     table_head, table_line)


def with_context(source, folder, tokens):
    """A copy of the model folder `source` in `folder`, with a context of `tokens`."""
    copy = pathlib.Path(folder) / "long"
    shutil.copytree(source, copy)
    config = json.loads((copy / "config.json").read_text())
    config["max_position_embeddings"] = max(tokens, config["max_position_embeddings"])
    (copy / "config.json").write_text(json.dumps(config))
    return copy


class Stream(threading.Thread):
    """Generates one text after another until it is stopped."""

    def __init__(self, server, number, args):
        super().__init__()
        self.server, self.number, self.args = server, number, args
        self.replies, self.stopped, self.failure = [], False, None

    def run(self):
        try:
            while not self.stopped:
                reply = Reply()
                self.replies.append(reply)
                prompt = random_prompt(f"{self.number}/{len(self.replies)}", 64)
                self.server.stream(prompt, self.args.stream_tokens, reply)
        except BaseException as error:
            self.failure = error

    def stop(self):
        self.stopped = self.replies[-1].stop = True


def measure(server, args):
    streams = [Stream(server, i, args) for i in range(args.others)]
    for stream in streams:
        stream.start()
    while all(s.is_alive() for s in streams) and not all(s.replies and s.replies[-1].times for s in streams):
        time.sleep(0.1)
    steady = time.perf_counter()
    time.sleep(args.before)
    long = Reply()
    server.stream(random_prompt("long", args.prompt_tokens), 1, long)
    for stream in streams:
        stream.stop()
    for stream in streams:
        stream.join()
        if stream.failure is not None:
            raise stream.failure
    end = long.times[0]
    begin = end - long.prompt_s
    gaps = [gap for s in streams for r in s.replies for gap in r.gaps()]
    before = [1000 * length for at, length in gaps if steady < at < long.asked]
    during = [1000 * length for at, length in gaps if begin < at and at - length < end]
    if not during:
        raise SystemExit("no other stream had a token while the prompt was computed: raise --stream-tokens")
    return {
        "p50 before, ms": percentile(before, 0.5),
        "p50 while, ms": percentile(during, 0.5),
        "p99 before, ms": percentile(before, 0.99),
        "p99 while, ms": percentile(during, 0.99),
        "longest while, ms": max(during),
        "p99 while / before": percentile(during, 0.99) / percentile(before, 0.99),
        "the others' tokens/s before": len(before) / (long.asked - steady),
        "the others' tokens/s while": len(during) / long.prompt_s,
        "the prompt waited, s": begin - long.asked,
        "the prompt took, s": long.prompt_s,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--others", type=int, default=4, help="streams that decode")
    parser.add_argument("--prompt-tokens", type=int, default=8000)
    parser.add_argument("--stream-tokens", type=int, default=2048, help="of each text of the others")
    parser.add_argument("--before", type=float, default=10, help="seconds of decoding before the long prompt")
    add_server_arguments(parser)
    args = parser.parse_args()
    context = max(args.prompt_tokens, args.stream_tokens) + 256
    with tempfile.TemporaryDirectory() as folder:
        source = args.model or with_context(SOURCE / "deploy/models/decoder", folder, context)
        model = quantized_decoder(source, folder)
        results = []
        sides = make_servers(args, model, args.others + 1, context)
        for start in sides:
            with start() as server:
                results.append(measure(server, args))
        table_head(f"{args.others} streams, a prompt of {args.prompt_tokens}", len(sides))
        for key in results[0]:
            table_line(key, *(result[key] for result in results), digits=2 if "/ before" in key else 1)


if __name__ == "__main__":
    main()
