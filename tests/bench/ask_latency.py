"""Latency of Ask against a lastrod: p50 and p99 over questions that its documents answer, one client, each asked for the
first time, then once more. Every round has a daemon of its own, which has answered one other question.

    tests/bench/ask_latency.py [--rounds N] [--squad FILE] [--limit N] [--generate]

Of the sample and its questions, or of the passages of a SQuAD file (answer_sets.py), a document each, and its first
questions. `again` is how long they take that were asked before; `first_text` when text first came. With --generate the
decoder writes: `first_text` is then of those questions that it wrote something to.
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


def percentiles(ms):
    return {"p50_ms": round(statistics.median(ms), 1), "p99_ms": round(percentile(ms, 0.99), 1)}


class Times:
    def __init__(self):
        self.whole, self.first_text, self.stages = [], [], {}

    def ask(self, stub, request):
        start = time.perf_counter()
        first_text = None
        for event in stub.AskStream(request):
            if event.WhichOneof("event") == "text_delta" and first_text is None:
                first_text = 1000 * (time.perf_counter() - start)
        self.whole.append(1000 * (time.perf_counter() - start))
        if first_text is not None:
            self.first_text.append(first_text)
        for stage in event.answer.durations:
            self.stages.setdefault(stage.stage, []).append(stage.duration_ms)

    def report(self):
        report = {"questions": len(self.whole), **percentiles(self.whole)}
        if self.first_text:
            report["first_text"] = {"answers": len(self.first_text), **percentiles(self.first_text)}
        report["median_stage_ms"] = {name: round(statistics.median(ms), 1) for name, ms in self.stages.items()}
        return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--squad", type=pathlib.Path)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--generate", action="store_true")
    options = parser.parse_args()
    mode = ask_pb.ANSWER_MODE_GENERATE if options.generate else ask_pb.ANSWER_MODE_QUOTE
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
                        times.ask(stub, ask_pb.AskRequest(question=question, mode=mode))
    print(json.dumps({"first": first.report(), "again": again.report()}))


if __name__ == "__main__":
    main()
