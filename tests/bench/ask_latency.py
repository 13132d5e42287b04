"""Latency of Ask against a lastrod: p50 and p99 over questions that its documents answer, one client, each asked for the
first time, then once more. Every round has a daemon of its own, which has answered one other question.

    tests/bench/ask_latency.py [--rounds N] [--squad FILE] [--limit N]

Of the sample and its questions, or of the passages of a SQuAD file (answer_sets.py), a document each, and its first
questions. `again` is how long they take that were asked before.
"""

import argparse
import json
import pathlib
import statistics
import tempfile
import time

import grpc

from support import SAMPLE, SOURCE, Daemon, percentile, proto, wait_for_job

ask_pb, ask_grpc = proto("ask_pb2"), proto("ask_pb2_grpc")
ingest_pb, ingest_grpc = proto("ingest_pb2"), proto("ingest_pb2_grpc")


def write_passages(squad, folder):
    """A document of each passage; the questions that they answer."""
    questions = []
    for article in json.loads(squad.read_text())["data"]:
        for paragraph in article["paragraphs"]:
            name = f"{len(list(folder.iterdir())):05}.md"
            (folder / name).write_text(f"# {article['title']}\n\n{paragraph['context']}\n")
            questions += [q["question"] for q in paragraph["qas"] if not q["is_impossible"]]
    return questions


def sample_questions():
    questions = json.loads((SOURCE / "tests/e2e/sample_questions.json").read_text())["questions"]
    return [q["question"] for q in questions if q["answerable"]]


class Times:
    def __init__(self):
        self.whole, self.stages = [], {}

    def ask(self, stub, question):
        start = time.perf_counter()
        answer = stub.Ask(ask_pb.AskRequest(question=question)).answer
        self.whole.append(1000 * (time.perf_counter() - start))
        for stage in answer.durations:
            self.stages.setdefault(stage.stage, []).append(stage.duration_ms)

    def report(self):
        return {"questions": len(self.whole), "p50_ms": round(statistics.median(self.whole), 1),
                "p99_ms": round(percentile(self.whole, 0.99), 1),
                "median_stage_ms": {name: round(statistics.median(ms), 1) for name, ms in self.stages.items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--squad", type=pathlib.Path)
    parser.add_argument("--limit", type=int, default=200)
    options = parser.parse_args()
    first, again = Times(), Times()
    with tempfile.TemporaryDirectory() as data, tempfile.TemporaryDirectory() as passages:
        questions = write_passages(options.squad, pathlib.Path(passages)) if options.squad else sample_questions()
        for _ in range(options.rounds):
            with Daemon(data=data) as daemon, grpc.insecure_channel(daemon.address) as channel:
                ingest = ingest_grpc.IngestServiceStub(channel)
                folder = passages if options.squad else str(SAMPLE)
                wait_for_job(ingest, ingest.IngestFolder(ingest_pb.IngestFolderRequest(folder=folder)).id)
                stub = ask_grpc.AskServiceStub(channel)
                stub.Ask(ask_pb.AskRequest(question="What is the answer to another question?"))
                for times in (first, again):
                    for question in questions[:options.limit]:
                        times.ask(stub, question)
    print(json.dumps({"first": first.report(), "again": again.report()}))


if __name__ == "__main__":
    main()
