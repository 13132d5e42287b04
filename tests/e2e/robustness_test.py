"""What must hold when things go wrong: killed during ingestion, flooded with questions, told to stop."""

import collections
import concurrent.futures
import contextlib
import pathlib
import random
import signal
import subprocess
import tempfile
import time
import unittest

import grpc

from programs import LASTRO, SAMPLE, SANITIZED, Daemon, cli_json, proto, run_cli, wait_for_job

ask_pb, ask_grpc = proto("ask_pb2"), proto("ask_pb2_grpc")
ingest_pb, ingest_grpc = proto("ingest_pb2"), proto("ingest_pb2_grpc")

WORDS = ("harbour cargo engine invoice rope valve captain storm ticket crane bridge ballast winter policy refund manual "
         "porto carga motor fatura cabo leme navio tempestade bilhete ponte lastro inverno regra devolução").split()


def write_documents(folder, count, seed):
    rng = random.Random(seed)
    for i in range(count):
        paragraphs = [" ".join(rng.choices(WORDS, k=60)) + "." for _ in range(6)]
        (pathlib.Path(folder) / f"doc{i:03}.md").write_text(f"# Document {i}\n\n" + "\n\n".join(paragraphs) + "\n")


@contextlib.contextmanager
def some_documents():
    """The sample, or a few documents where every memory access is checked."""
    if not SANITIZED:
        yield str(SAMPLE)
        return
    with tempfile.TemporaryDirectory() as docs:
        write_documents(docs, 6, seed=3)
        yield docs


class Killed(unittest.TestCase):
    def check_whole(self, data, count):
        """`lastro doctor` finds every chunk, vector and hash of `count` documents there and right."""
        run_cli("doctor", data=data)
        chunks = [int(document["chunk_count"]) for document in cli_json("docs", "list", data=data)["documents"]]
        self.assertEqual(len(chunks), count)
        self.assertGreater(min(chunks), 0)

    def test_kill_during_ingest_leaves_whole_documents_and_goes_on(self):
        count = 6 if SANITIZED else 60
        with tempfile.TemporaryDirectory() as docs, tempfile.TemporaryDirectory() as data:
            write_documents(docs, count, seed=1)
            killed = 0
            for attempt in range(40):
                process = subprocess.Popen([LASTRO, "--data", data, "ingest", docs], stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
                time.sleep(0.15 + 0.05 * attempt)
                if process.poll() is not None:
                    self.assertEqual(process.returncode, 0)
                    break
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
                if attempt % 4 == 0 and (pathlib.Path(data) / "lastro.db").exists():
                    run_cli("collections", "list", data=data)  # opens without an error
            self.assertGreater(killed, 0, "the ingestion was never interrupted")
            job = cli_json("ingest", docs, data=data)
            self.assertEqual(int(job["files_failed"]), 0, job)
            self.check_whole(data, count)

    def test_a_daemons_job_goes_on_after_kill(self):
        count = 12 if SANITIZED else 120
        with tempfile.TemporaryDirectory() as docs, tempfile.TemporaryDirectory() as data:
            write_documents(docs, count, seed=2)
            with Daemon(data=data) as daemon, grpc.insecure_channel(daemon.address) as channel:
                stub = ingest_grpc.IngestServiceStub(channel)
                job = stub.IngestFolder(ingest_pb.IngestFolderRequest(folder=docs), timeout=30)
                while stub.GetJob(ingest_pb.GetJobRequest(job_id=job.id), timeout=30).state == ingest_pb.Job.QUEUED:
                    time.sleep(0.02)
                time.sleep(0.3)
                daemon.kill()
            with Daemon(data=data) as daemon, grpc.insecure_channel(daemon.address) as channel:
                ended = wait_for_job(ingest_grpc.IngestServiceStub(channel), job.id)
                self.assertEqual(ended.state, ingest_pb.Job.SUCCEEDED, ended)
                self.assertEqual(daemon.stop(), 0)
            self.check_whole(data, count)


class Flooded(unittest.TestCase):
    def test_200_concurrent_questions_end_and_memory_returns(self):
        allowed = {"OK", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
        with some_documents() as docs, tempfile.TemporaryDirectory() as data, Daemon(data=data) as daemon:
            channels = [grpc.insecure_channel(daemon.address, [("grpc.use_local_subchannel_pool", 1)]) for _ in range(8)]
            with contextlib.ExitStack() as stack:
                for channel in channels:
                    stack.enter_context(channel)
                ingest = ingest_grpc.IngestServiceStub(channels[0])
                job = ingest.IngestFolder(ingest_pb.IngestFolderRequest(folder=docs), timeout=30)
                self.assertEqual(wait_for_job(ingest, job.id).state, ingest_pb.Job.SUCCEEDED)

                def ask(i):
                    stub = ask_grpc.AskServiceStub(channels[i % len(channels)])
                    request = ask_pb.AskRequest(question=f"Who may open valve {i} when the storm comes?")
                    try:
                        stub.Ask(request, timeout=180 if SANITIZED else 20)
                        return "OK"
                    except grpc.RpcError as error:
                        return error.code().name

                def flood():
                    with concurrent.futures.ThreadPoolExecutor(200) as pool:
                        return collections.Counter(pool.map(ask, range(200)))

                first = flood()
                settled = daemon.rss_bytes()
                second = flood()
                after = daemon.rss_bytes()
                print(f"outcomes {dict(first)} then {dict(second)}; memory {settled >> 20} MiB then {after >> 20} MiB")
                for outcomes in (first, second):
                    self.assertLessEqual(set(outcomes), allowed)
                    self.assertEqual(sum(outcomes.values()), 200)
                    self.assertGreater(outcomes["OK"], 0)
                self.assertLess(after, settled * 1.25 + (32 << 20))
                self.assertEqual(ask(0), "OK")  # and it still answers

    def test_a_cancelled_question_frees_the_server(self):
        with some_documents() as docs, tempfile.TemporaryDirectory() as data, Daemon(data=data) as daemon:
            with grpc.insecure_channel(daemon.address) as channel:
                ingest = ingest_grpc.IngestServiceStub(channel)
                job = ingest.IngestFolder(ingest_pb.IngestFolderRequest(folder=docs), timeout=30)
                wait_for_job(ingest, job.id)
                stub = ask_grpc.AskServiceStub(channel)
                question = ask_pb.AskRequest(question="Where are the lifeboats?")
                for _ in range(50):
                    stub.Ask.future(question, timeout=300).cancel()
                self.assertTrue(stub.Ask(question, timeout=300).HasField("answer"))


class Stopped(unittest.TestCase):
    def test_sigterm_drains(self):
        with tempfile.TemporaryDirectory() as data:
            with Daemon(data=data) as daemon:
                self.assertEqual(daemon.stop(), 0)


if __name__ == "__main__":
    unittest.main()
