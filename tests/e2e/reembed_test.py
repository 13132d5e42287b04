"""A collection moves to another embedding model and back, with two tiny models: in process, and on a server that is
killed on the way, searched all the time, and asked again afterwards."""

import pathlib
import random
import tempfile
import threading
import time
import unittest

import grpc

from programs import SOURCE, Daemon, cli_json, proto, run_cli

MODELS = SOURCE / "tests" / "golden" / "models"
OLD, NEW = MODELS / "bert-mean", MODELS / "qwen3-embedding"
WORDS = "harbour cargo engine invoice rope valve captain storm ticket crane bridge ballast winter policy refund".split()
ingest_pb, retrieval_pb = proto("ingest_pb2"), proto("retrieval_pb2")
ingest_grpc, retrieval_grpc = proto("ingest_pb2_grpc"), proto("retrieval_pb2_grpc")


def write_documents(folder, count, start=0):
    rng = random.Random(start + 1)
    for number in range(start, start + count):
        paragraphs = [" ".join(rng.choices(WORDS, k=12)) + "." for _ in range(3)]
        (folder / f"doc{number:03}.md").write_text(f"# Document {number}\n\n" + "\n\n".join(paragraphs) + "\n")


def fingerprint_of(model):
    return cli_json("embed", "x", "--embedder", model)["fingerprint"]


class InProcess(unittest.TestCase):
    def test_there_and_back_and_done(self):
        with tempfile.TemporaryDirectory() as folder:
            docs, data = pathlib.Path(folder) / "docs", pathlib.Path(folder) / "data"
            docs.mkdir()
            write_documents(docs, 12)
            run_cli("ingest", docs, "--embedder", OLD, data=data)
            both = ("--embedder", OLD, "--embedder", NEW)
            said = run_cli("reembed", *both, data=data).stdout
            for expected in ("overlap@10", "ndcg@10", "--switch", NEW.name):
                self.assertIn(expected, said)
            state = cli_json("reembed", "--status", data=data)
            self.assertEqual(state["other"]["vectors"], state["chunks"])
            self.assertEqual(state["other"]["fingerprint"], fingerprint_of(NEW))
            self.assertNotEqual(state["other"]["dimension"], state["searched"]["dimension"])
            self.search(data, OLD, *both)
            comparison = cli_json("reembed", "--compare", "--sample", 20, *both, data=data)
            self.assertGreater(comparison["queries"], 10)
            refused = run_cli("reembed", "--switch", "--min-overlap", "0.999", *both, data=data, check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("nothing was changed", refused.stderr)
            self.search(data, OLD, *both)
            run_cli("reembed", "--switch", *both, data=data)
            self.search(data, NEW, *both)
            self.search(data, NEW, "--embedder", NEW)
            alone = run_cli("search", "valve", "--embedder", OLD, data=data, check=False)
            self.assertEqual(alone.returncode, 1)
            self.assertIn("--embedder", alone.stderr)
            write_documents(docs, 3, start=12)
            run_cli("ingest", docs, "--embedder", OLD, "--embedder", NEW, data=data)  # by the collection's model
            run_cli("reembed", "--rollback", *both, data=data)
            self.search(data, OLD, *both)
            run_cli("reembed", "--switch", *both, data=data)
            said = run_cli("reembed", "--finish", data=data).stdout
            self.assertIn("lastro store purge", said)
            self.assertNotIn("other", cli_json("reembed", "--status", data=data))
            back = run_cli("reembed", "--rollback", *both, data=data, check=False)
            self.assertEqual(back.returncode, 1)
            before = sum(f.stat().st_size for f in data.rglob("*") if f.is_file())
            run_cli("store", "purge", data=data)
            self.assertLess(sum(f.stat().st_size for f in data.rglob("*") if f.is_file()), before)
            self.search(data, NEW, "--embedder", NEW)
            run_cli("doctor", data=data)

    def search(self, data, model, *arguments):
        found = cli_json("search", "winter storm", *arguments, data=data)
        self.assertEqual(found["embedding_fingerprint"], fingerprint_of(model))
        self.assertGreater(len(found["hits"]), 0)


class OnAServer(unittest.TestCase):
    def test_killed_on_the_way_and_searched_all_the_time(self):
        with tempfile.TemporaryDirectory() as folder:
            docs, data = pathlib.Path(folder) / "docs", pathlib.Path(folder) / "data"
            docs.mkdir()
            write_documents(docs, 150)
            models = ("--embedder", OLD, "--embedder", NEW)
            with Daemon(*models, data=data) as server:
                run_cli("ingest", docs, "--on-server", server=server.address)
                with grpc.insecure_channel(server.address) as channel:
                    ingest = ingest_grpc.IngestServiceStub(channel)
                    job = ingest.Reembed(ingest_pb.ReembedRequest(model=NEW.name), timeout=60)
                    deadline = time.monotonic() + 120
                    while self.state(ingest).other.vectors == 0 and time.monotonic() < deadline:
                        time.sleep(0.005)
                    server.kill()
            with Daemon(*models, data=data) as server, grpc.insecure_channel(server.address) as channel:
                ingest = ingest_grpc.IngestServiceStub(channel)
                ended = list(ingest.WatchJob(ingest_pb.GetJobRequest(job_id=job.id), timeout=300))[-1]
                self.assertEqual(ended.state, ingest_pb.Job.SUCCEEDED, ended)
                self.assertGreater(ended.chunks_reused, 0, "what was embedded before the kill stays")
                state = self.state(ingest)
                self.assertEqual(state.other.vectors, state.chunks)
                self.refuses_some_labels(ingest, state)
                answer = run_cli("ask", "What is in the winter storm?", "--json", server=server.address).stdout
                self.switch_while_searching(server.address, ingest, channel, state)
                path = pathlib.Path(folder) / "answer.json"
                path.write_text(answer)
                replayed = run_cli("replay", path, server=server.address, check=False)
                self.assertIn("the embedding model", replayed.stdout)
            run_cli("doctor", data=data)

    @staticmethod
    def state(ingest):
        return ingest.GetReembedding(ingest_pb.GetReembeddingRequest(), timeout=60)

    def refuses_some_labels(self, ingest, state):
        metadata = (("lastro-labels", "hr"),)
        calls = ((ingest.GetReembedding, ingest_pb.GetReembeddingRequest()),
                 (ingest.Reembed, ingest_pb.ReembedRequest(model=NEW.name)),
                 (ingest.SwitchEmbedding, ingest_pb.SwitchEmbeddingRequest(fingerprint=state.other.fingerprint)),
                 (ingest.FinishReembedding, ingest_pb.FinishReembeddingRequest(fingerprint=state.other.fingerprint)))
        for call, request in calls:
            with self.assertRaises(grpc.RpcError) as error:
                call(request, timeout=60, metadata=metadata)
            self.assertEqual(error.exception.code(), grpc.StatusCode.PERMISSION_DENIED)
        self.assertEqual([job for job in ingest.ListJobs(ingest_pb.ListJobsRequest(), metadata=metadata).jobs
                          if job.embedding_model], [])

    def switch_while_searching(self, address, ingest, channel, state):
        stop, failures, models = threading.Event(), [], []
        retrieval = retrieval_grpc.RetrievalServiceStub(channel)

        def search():
            while not stop.is_set():
                request = retrieval_pb.SearchRequest(query=f"storm {len(models)}", limit=3)
                try:
                    models.append(retrieval.Search(request, timeout=60).embedding_fingerprint)
                except grpc.RpcError as error:
                    failures.append(error)

        searcher = threading.Thread(target=search)
        searcher.start()
        fingerprints = [state.other.fingerprint, state.searched.fingerprint] * 4 + [state.other.fingerprint]
        for fingerprint in fingerprints:
            ingest.SwitchEmbedding(ingest_pb.SwitchEmbeddingRequest(fingerprint=fingerprint), timeout=120)
            seen = len(models)
            while len(models) < seen + 3 and not failures:
                time.sleep(0.005)
            self.assertEqual(models[-1], fingerprint)
        stop.set()
        searcher.join()
        self.assertEqual(failures, [])


if __name__ == "__main__":
    unittest.main()
