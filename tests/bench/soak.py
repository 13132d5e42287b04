#!/usr/bin/python3
"""A soak of one lastrod: mixed requests from several connections, a third of them cancelled at random moments, some
wrong on purpose, some with a deadline that cannot be kept. Exits with 1 when memory, descriptors or threads grew, a
request hung, a status was not to be expected, or the daemon reported something.

    tests/bench/soak.py [--minutes 30] [--workers 8] [--seed 1]      LASTRO_BUILD_DIR: such as build/asan-ubsan

Memory is anonymous memory. It is called warm over the second half of the first tenth of the time; at the end, after
some seconds without requests, it may be 10 % + 16 MiB more.
"""
import argparse
import collections
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time

import grpc

from support import SAMPLE, SOURCE, Daemon, percentile, proto, wait_for_job

SERVICES = ("ask", "embedding", "generation", "ingest", "retrieval")
ask_pb, embedding_pb, generation_pb, ingest_pb, retrieval_pb = (proto(name + "_pb2") for name in SERVICES)
ask_grpc, embedding_grpc, generation_grpc, ingest_grpc, retrieval_grpc = (
    proto(name + "_pb2_grpc") for name in SERVICES)

LATEST_CANCEL_S = 2.0
LONGEST_TINY_DEADLINE_S = 0.05
SLACK_S = 5.0  # a request that ends later than this after its time hung
QUIET_S = 5.0
GROWTH, GROWTH_BYTES = 1.10, 16 << 20
QUESTIONS = [q["question"] for q in json.loads((SOURCE / "tests/e2e/sample_questions.json").read_text())["questions"]]
WORDS = "harbour cargo engine invoice valve captain storm ticket crane porto carga motor fatura navio bilhete".split()
SCHEMA = json.dumps({"type": "object",
                     "properties": {"port": {"enum": ["Lisboa", "Porto"]}, "berth": {"type": "integer"}},
                     "required": ["port", "berth"], "additionalProperties": False})

# A third of all requests is cancelled, a sixth is wrong, a twelfth has a tiny deadline.
PLANS = ["plain"] * 5 + ["cancel"] * 4 + ["wrong"] * 2 + ["tiny deadline"]
EXPECTED = {
    "plain": {"OK", "RESOURCE_EXHAUSTED"},
    "cancel": {"OK", "RESOURCE_EXHAUSTED", "CANCELLED"},
    "tiny deadline": {"OK", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"},
}


class Worker(threading.Thread):
    """Sends one request after another on a connection of its own, which is dropped now and then."""

    def __init__(self, address, number, args, end):
        super().__init__()
        self.address, self.number, self.args, self.end = address, number, args, end
        self.rng = random.Random(f"{args.seed}/{number}")
        self.counts, self.problems, self.channel = collections.Counter(), [], None

    def run(self):
        try:
            while time.time() < self.end and len(self.problems) < 10:
                if self.channel is None or self.rng.random() < 0.01:
                    self.connect()
                self.one_request()
        except BaseException as error:
            self.problems.append(f"worker {self.number}: {error!r}")
        finally:
            if self.channel is not None:
                self.channel.close()

    def connect(self):
        """A new connection; the old one goes with a text still on its way."""
        if self.channel is not None:
            running = self.generation.GenerateStream(self.text_request(), timeout=self.args.deadline)
            time.sleep(LATEST_CANCEL_S * self.rng.random() ** 2)
            self.channel.close()
            running.cancel()
        self.channel = grpc.insecure_channel(self.address, [("grpc.use_local_subchannel_pool", 1)])
        self.ask = ask_grpc.AskServiceStub(self.channel)
        self.embedding = embedding_grpc.EmbeddingServiceStub(self.channel)
        self.generation = generation_grpc.GenerationServiceStub(self.channel)
        self.ingest = ingest_grpc.IngestServiceStub(self.channel)
        self.retrieval = retrieval_grpc.RetrievalServiceStub(self.channel)

    def one_request(self):
        plan = self.rng.choice(PLANS)
        if plan == "wrong":
            name, (method, request, expected) = "wrong", self.wrong_request()
            self.send(name, plan, method, request, {expected, "RESOURCE_EXHAUSTED"})
            return
        name, method, request = self.rng.choice(
            [self.asked, self.asked_stream, self.searched, self.generated, self.generated_stream, self.other_text,
             self.scored, self.embedded, self.uploaded, self.deleted, self.listed])()
        self.send(name, plan, method, request, EXPECTED[plan])

    def send(self, name, plan, method, request, expected):
        deadline = self.args.deadline
        if plan == "tiny deadline":
            deadline = self.rng.uniform(0.001, LONGEST_TINY_DEADLINE_S)
        start = time.time()
        streams = isinstance(method, grpc.UnaryStreamMultiCallable)
        call = method(request, timeout=deadline) if streams else method.future(request, timeout=deadline)
        timer = None
        if plan == "cancel":
            timer = threading.Timer(self.rng.uniform(0, LATEST_CANCEL_S) * self.rng.random(), call.cancel)
            timer.start()
        detail = ""
        try:
            collections.deque(call, maxlen=0) if streams else call.result()
            code = "OK"
        except grpc.FutureCancelledError:
            code = "CANCELLED"
        except grpc.RpcError as error:
            code, detail = error.code().name, error.details()
        took = time.time() - start
        if timer is not None:
            timer.cancel()
        self.counts[name, code] += 1
        if code not in expected:
            self.problems.append(f"{name} ({plan}) ended with {code}: {detail}")
        if took > (LATEST_CANCEL_S if code == "CANCELLED" else deadline) + SLACK_S:
            self.problems.append(f"{name} ({plan}) came back after {took:.1f} s")

    # What is asked: a name, a method, a request.

    def words(self, least, most):
        return " ".join(self.rng.choices(WORDS, k=self.rng.randint(least, most)))

    def ask_request(self):
        mode = self.rng.choice([ask_pb.ANSWER_MODE_QUOTE, ask_pb.ANSWER_MODE_QUOTE, ask_pb.ANSWER_MODE_GENERATE])
        return ask_pb.AskRequest(question=self.rng.choice(QUESTIONS), mode=mode)

    def asked(self):
        return "Ask", self.ask.Ask, self.ask_request()

    def asked_stream(self):
        return "AskStream", self.ask.AskStream, self.ask_request()

    def searched(self):
        mode = self.rng.choice(list(retrieval_pb.SearchRequest.Mode.values()))
        return "Search", self.retrieval.Search, retrieval_pb.SearchRequest(query=self.words(1, 20), mode=mode)

    def text_request(self, **fields):
        sampling = ask_pb.Sampling(temperature=self.rng.choice([0, 1]), top_k=40, seed=self.rng.randint(1, 1 << 40))
        return generation_pb.GenerateRequest(prompt=generation_pb.Prompt(text=self.words(5, 600)), sampling=sampling,
                                             max_new_tokens=self.rng.randint(1, 128), **fields)

    def generated(self):
        return "Generate", self.generation.Generate, self.text_request()

    def generated_stream(self):
        return "GenerateStream", self.generation.GenerateStream, self.text_request()

    def other_text(self):
        if self.rng.random() < 0.5:
            form = generation_pb.ResponseFormat(json_schema=SCHEMA)
            return "Generate, JSON", self.generation.GenerateStream, self.text_request(response_format=form)
        request = self.text_request(beams=generation_pb.BeamSearch(width=self.rng.randint(1, 4)))
        request.ClearField("sampling")
        return "Generate, beams", self.generation.Generate, request

    def scored(self):
        prompt = generation_pb.Prompt(text=self.words(5, 300))
        prompt.reuse.name = f"soak {self.rng.randint(0, 3)}"
        return "Score", self.generation.Score, generation_pb.ScoreRequest(
            prompt=prompt, continuations=[self.words(1, 20) for _ in range(self.rng.randint(1, 20))])

    def embedded(self):
        texts = [self.words(1, 80) for _ in range(self.rng.randint(1, 16))]
        return "Embed", self.embedding.Embed, embedding_pb.EmbedRequest(texts=texts)

    def uri(self):
        return f"worker{self.number}/{self.rng.randint(0, 9)}.md"

    def uploaded(self):
        # Into the collection that is searched, so that documents come and go under questions.
        header = ingest_pb.UploadRequest.Header(uri=self.uri())
        paragraphs = [self.words(10, 60) + "." for _ in range(self.rng.randint(1, 8))]
        text = f"# {self.words(1, 5)}\n\n" + "\n\n".join(paragraphs)
        parts = [ingest_pb.UploadRequest(header=header), ingest_pb.UploadRequest(content=text.encode())]
        return "Upload", self.ingest.Upload, iter(parts)

    def deleted(self):
        try:
            request = retrieval_pb.GetDocumentRequest(uri=self.uri())
            found = self.retrieval.GetDocument(request, timeout=self.args.deadline)
            ids = [found.id]
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise
            ids = ["not there"]
        request = retrieval_pb.DeleteDocumentsRequest(document_ids=ids)
        return "DeleteDocuments", self.retrieval.DeleteDocuments, request

    def listed(self):
        return "ListDocuments", self.retrieval.ListDocuments, retrieval_pb.ListDocumentsRequest(page_size=1000)

    def wrong_request(self):
        text = lambda **fields: generation_pb.GenerateRequest(prompt=generation_pb.Prompt(text="x"), **fields)
        tokens = lambda ids: generation_pb.GenerateRequest(
            prompt=generation_pb.Prompt(tokens=generation_pb.TokenIds(ids=ids)))
        upload = lambda uri, content: iter([
            ingest_pb.UploadRequest(header=ingest_pb.UploadRequest.Header(uri=uri)),
            ingest_pb.UploadRequest(content=content)])
        chat = generation_pb.Chat(messages=[generation_pb.ChatMessage(role="user", content="x")])
        generate = self.rng.choice([self.generation.Generate, self.generation.GenerateStream])
        return self.rng.choice([
            (self.ask.Ask, ask_pb.AskRequest(question=" "), "INVALID_ARGUMENT"),
            (self.ask.AskStream, ask_pb.AskRequest(question="x", collection="nowhere"), "NOT_FOUND"),
            (self.ask.Ask, ask_pb.AskRequest(question="x", history=[ask_pb.Turn(text="y")]), "INVALID_ARGUMENT"),
            (self.retrieval.Search, retrieval_pb.SearchRequest(query="x", collection="nowhere"), "NOT_FOUND"),
            (self.retrieval.Search, retrieval_pb.SearchRequest(query="x", limit=-1), "INVALID_ARGUMENT"),
            (generate, text(max_new_tokens=1 << 20), "INVALID_ARGUMENT"),
            (generate, text(sampling=ask_pb.Sampling(temperature=11)), "INVALID_ARGUMENT"),
            (generate, text(adapter="none"), "NOT_FOUND"),
            (generate, text(response_format=generation_pb.ResponseFormat(json_schema="{")), "INVALID_ARGUMENT"),
            (generate, tokens([1 << 20]), "INVALID_ARGUMENT"),
            (generate, tokens([600] * 4000), "INVALID_ARGUMENT"),
            (generate, generation_pb.GenerateRequest(prompt=generation_pb.Prompt(chat=chat)), "FAILED_PRECONDITION"),
            (self.embedding.Embed, embedding_pb.EmbedRequest(), "INVALID_ARGUMENT"),
            (self.embedding.Embed, embedding_pb.EmbedRequest(texts=["ship " * 2000]), "INVALID_ARGUMENT"),
            (self.embedding.Classify, embedding_pb.ClassifyRequest(), "UNIMPLEMENTED"),
            (self.ingest.Upload, iter([ingest_pb.UploadRequest(content=b"x")]), "INVALID_ARGUMENT"),
            (self.ingest.Upload, upload("broken.pdf", b"%PDF-1.4 no more"), "INVALID_ARGUMENT"),
            (self.ingest.IngestFolder, ingest_pb.IngestFolderRequest(folder="/no/such"), "NOT_FOUND"),
            (self.ingest.GetJob, ingest_pb.GetJobRequest(job_id="none"), "NOT_FOUND"),
        ])


class Sample:
    """Of the daemon, at a moment."""

    def __init__(self, daemon):
        self.at = time.time()
        self.memory = daemon.rss_bytes()
        self.descriptors = len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
        self.threads = len(os.listdir(f"/proc/{daemon.process.pid}/task"))

    def __str__(self):
        return f"{self.memory / 2**20:.1f} MiB, {self.descriptors} descriptors, {self.threads} threads"


def run_workers(daemon, args):
    """The workers when they have ended, and the samples taken meanwhile; the last after a time of quiet."""
    end = time.time() + 60 * args.minutes
    workers = [Worker(daemon.address, i, args, end) for i in range(args.workers)]
    for worker in workers:
        worker.daemon = True  # one that hangs does not keep this program
        worker.start()
    samples, told = [], time.time()
    while any(w.is_alive() for w in workers) and daemon.process.poll() is None:
        if time.time() > end + args.deadline + SLACK_S:
            break
        samples.append(Sample(daemon))
        if time.time() - told > 60:
            told = time.time()
            print(f"{(end - told) / 60:.0f} minutes left: {samples[-1]}", flush=True)
        time.sleep(args.every)
    time.sleep(QUIET_S)
    if daemon.process.poll() is None:
        samples.append(Sample(daemon))
    return workers, samples


def growth(samples):
    """What was warm, highest and last, and what is wrong with it."""
    start, last = samples[0].at, samples[-1]
    tenth = (last.at - QUIET_S - start) / 10
    warming = [s for s in samples[:-1] if s.at <= start + tenth] or samples[:1]
    warm = statistics.median(s.memory for s in warming if s.at >= start + tenth / 2 or len(warming) == 1)
    tenths = [[s.memory for s in samples if i * tenth <= s.at - start < (i + 1) * tenth] for i in range(10)]
    print("memory at the end of each tenth of the time, MiB:", *(f"{t[-1] / 2**20:.0f}" for t in tenths if t))
    print(f"warm {warm / 2**20:.1f} MiB, highest {max(s.memory for s in samples) / 2**20:.1f} MiB; end: {last}")
    problems = []
    if last.memory > GROWTH * warm + GROWTH_BYTES:
        problems.append(f"memory grew from {warm / 2**20:.1f} to {last.memory / 2**20:.1f} MiB")
    for what in ("descriptors", "threads"):
        most = max(getattr(s, what) for s in warming)
        if getattr(last, what) > most:
            problems.append(f"{what} grew from {most} to {getattr(last, what)}")
    return problems


def of_log(lines, args):
    """What the daemon's own log tells: how long calls took, and problems."""
    problems, times = [], collections.defaultdict(list)
    limits = {"CANCELLED": LATEST_CANCEL_S, "DEADLINE_EXCEEDED": LONGEST_TINY_DEADLINE_S}
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            if "ready on " not in line:
                problems.append(f"lastrod said: {line.rstrip()}")
            continue
        if entry["level"] in ("warning", "error"):
            problems.append(f"lastrod said: {line.rstrip()}")
        if entry["event"] != "call":
            continue
        seconds = float(entry["duration_ms"]) / 1000
        times[entry["method"], entry["code"]].append(seconds)
        if seconds > limits.get(entry["code"], args.deadline) + SLACK_S:
            problems.append(f"{entry['method']} ended with {entry['code']} after {seconds:.1f} s")
    print("\n| the daemon's calls | status | count | p50, ms | p99, ms | longest, ms |\n|---|---|---|---|---|---|")
    for (method, code), seconds in sorted(times.items()):
        print(f"| {method} | {code} | {len(seconds)} | {1000 * percentile(seconds, 0.5):.1f} | "
              f"{1000 * percentile(seconds, 0.99):.1f} | {1000 * max(seconds):.1f} |")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--deadline", type=float, default=60, help="seconds, of requests that are to succeed")
    parser.add_argument("--every", type=float, default=2, help="seconds between samples")
    parser.add_argument("--lastrod-options", default="--kv-memory 64MiB --kv-reuse 16MiB",
                        help="of the daemon; a small KV memory is soon used to its end, which is no growth then")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as data:
        with Daemon("--log-json", *args.lastrod_options.split(), data=data) as daemon:
            with grpc.insecure_channel(daemon.address) as channel:
                ingest = ingest_grpc.IngestServiceStub(channel)
                wait_for_job(ingest, ingest.IngestFolder(ingest_pb.IngestFolderRequest(folder=str(SAMPLE))).id)
            workers, samples = run_workers(daemon, args)
            problems = [f"worker {w.number} hangs" for w in workers if w.is_alive()]
            if daemon.process.poll() is None:
                problems += growth(samples)
                start = time.time()
                code = daemon.stop()
                if code != 0 or time.time() - start > SLACK_S:
                    problems.append(f"lastrod ended with {code}, {time.time() - start:.1f} s after it was told to")
            else:
                problems.append(f"lastrod died: {daemon.process.returncode}")
            daemon.reader.join(timeout=60)
            problems += of_log(daemon.lines, args)
    problems += [problem for w in workers for problem in w.problems]
    counts = sum((w.counts for w in workers), collections.Counter())
    print("\n| asked | status | count |\n|---|---|---|")
    for (name, code), count in sorted(counts.items()):
        print(f"| {name} | {code} | {count} |")
    for problem, count in collections.Counter(problems).most_common(50):
        print(f"PROBLEM ({count}): {problem}")
    print(f"seed {args.seed}: {sum(counts.values())} requests, {len(problems)} problems")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
