"""Latency of Ask against a running lastrod on the sample documents: p50 and p99 over the answerable sample questions, one
client, after one warm-up round.

    tests/bench/ask_latency.py [--rounds N]
"""

import argparse
import json
import statistics
import tempfile
import time

import grpc

from support import SAMPLE, SOURCE, Daemon, percentile, proto, wait_for_job

ask_pb, ask_grpc = proto("ask_pb2"), proto("ask_pb2_grpc")
ingest_pb, ingest_grpc = proto("ingest_pb2"), proto("ingest_pb2_grpc")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    questions = [q["question"] for q in json.loads((SOURCE / "tests/e2e/sample_questions.json").read_text())["questions"]
                 if q["answerable"]]
    with tempfile.TemporaryDirectory() as data, Daemon(data=data) as daemon:
        with grpc.insecure_channel(daemon.address) as channel:
            ingest = ingest_grpc.IngestServiceStub(channel)
            wait_for_job(ingest, ingest.IngestFolder(ingest_pb.IngestFolderRequest(folder=str(SAMPLE))).id)
            stub = ask_grpc.AskServiceStub(channel)
            times, stages = [], {}
            for round_number in range(rounds + 1):
                for question in questions:
                    start = time.perf_counter()
                    answer = stub.Ask(ask_pb.AskRequest(question=question)).answer
                    if round_number == 0:
                        continue
                    times.append(1000 * (time.perf_counter() - start))
                    for stage in answer.durations:
                        stages.setdefault(stage.stage, []).append(stage.duration_ms)
    print(json.dumps({
        "questions": len(times),
        "p50_ms": round(statistics.median(times), 1),
        "p99_ms": round(percentile(times, 0.99), 1),
        "median_stage_ms": {name: round(statistics.median(ms), 1) for name, ms in stages.items()},
    }))


if __name__ == "__main__":
    main()
