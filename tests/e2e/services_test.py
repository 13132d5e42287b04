"""The same end-to-end run against one process with every role and against four processes, with a Python client generated
from the protos and with the CLI as a client."""

import contextlib
import json
import tempfile
import unittest

import grpc

from programs import SAMPLE, SOURCE, Daemon, check_citation, cli_json, proto, source_bytes, wait_for_job

SERVICES = ("ask", "embedding", "generation", "ingest", "retrieval")
ask_pb, embedding_pb, generation_pb, ingest_pb, retrieval_pb = (proto(name + "_pb2") for name in SERVICES)
ask_grpc, embedding_grpc, generation_grpc, ingest_grpc, retrieval_grpc = (proto(name + "_pb2_grpc") for name in SERVICES)

QUESTIONS = ["At what wind speed do we have to stop bunkering?",
             "Qual é o prazo normal de pagamento das faturas dos fornecedores?"]


class EndToEnd:
    """Tests that every deployment passes. Subclasses set the addresses of the services."""

    ask_address = ingest_address = embedding_address = generation_address = retrieval_address = None

    @classmethod
    def start(cls, *arguments, **keywords):
        return cls.stack.enter_context(Daemon(*arguments, **keywords))

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.data = cls.stack.enter_context(tempfile.TemporaryDirectory())
        try:
            cls.start_services()
            channel = lambda address: cls.stack.enter_context(grpc.insecure_channel(address))
            cls.ask = ask_grpc.AskServiceStub(channel(cls.ask_address))
            cls.ingest = ingest_grpc.IngestServiceStub(channel(cls.ingest_address))
            cls.embedding = embedding_grpc.EmbeddingServiceStub(channel(cls.embedding_address))
            cls.generation = generation_grpc.GenerationServiceStub(channel(cls.generation_address))
            cls.retrieval = retrieval_grpc.RetrievalServiceStub(channel(cls.retrieval_address))
            job = cls.ingest.IngestFolder(ingest_pb.IngestFolderRequest(folder=str(SAMPLE)), timeout=30)
            cls.job = wait_for_job(cls.ingest, job.id)
        except BaseException:
            cls.stack.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def extracted(self, uri):
        document = self.retrieval.GetDocument(retrieval_pb.GetDocumentRequest(uri=uri), timeout=30)
        return self.retrieval.GetSource(retrieval_pb.GetSourceRequest(document_id=document.id), timeout=30).content

    def test_ingest_reports_every_file(self):
        files = sum(1 for p in SAMPLE.rglob("*") if p.is_file())
        self.assertEqual(self.job.state, ingest_pb.Job.SUCCEEDED, self.job)
        self.assertEqual(self.job.files_added, files)
        self.assertEqual(list(self.job.problems), [])
        listed = self.retrieval.ListDocuments(retrieval_pb.ListDocumentsRequest(page_size=1000), timeout=30).documents
        self.assertEqual(len(listed), files)

    def test_ingesting_again_changes_nothing(self):
        job = self.ingest.IngestFolder(ingest_pb.IngestFolderRequest(folder=str(SAMPLE)), timeout=30)
        job = wait_for_job(self.ingest, job.id)
        self.assertEqual(job.files_unchanged, self.job.files_added)
        self.assertEqual(job.files_added + job.files_updated, 0)

    def test_ask_streams_sources_then_text_then_the_answer(self):
        for question in QUESTIONS:
            events = list(self.ask.AskStream(ask_pb.AskRequest(question=question), timeout=120))
            kinds = [event.WhichOneof("event") for event in events]
            self.assertEqual(kinds[0], "sources")
            self.assertEqual(kinds[-1], "answer")
            self.assertIn("text_delta", kinds)
            answer = events[-1].answer
            self.assertEqual(answer.answerability, ask_pb.ANSWERED)
            self.assertEqual("".join(e.text_delta for e in events), answer.text)
            citations = [c for claim in answer.claims for c in claim.citations]
            self.assertTrue(citations)
            for citation in citations:
                source = source_bytes(citation.document_uri, citation.source_kind, self.extracted)
                self.assertEqual(source[citation.source_range.begin:citation.source_range.end].decode(
                    citation.encoding or "UTF-8"), citation.quote)
            plain = self.ask.Ask(ask_pb.AskRequest(question=question), timeout=120).answer
            self.assertEqual(plain.text, answer.text)

    def test_embed_gives_unit_vectors_that_know_meaning(self):
        texts = ["The ferry was cancelled because of the storm.", "A tempestade obrigou a cancelar a travessia.",
                 "Invoices are paid at the end of the month."]
        response = self.embedding.Embed(embedding_pb.EmbedRequest(texts=texts), timeout=60)
        vectors = [list(v.values) for v in response.vectors]
        self.assertEqual([len(v) for v in vectors], [response.dimension] * 3)
        dot = lambda a, b: sum(x * y for x, y in zip(a, b))
        for vector in vectors:
            self.assertAlmostEqual(dot(vector, vector), 1.0, places=3)
        self.assertGreater(dot(vectors[0], vectors[1]), dot(vectors[0], vectors[2]))

    def test_generate_streams_json_of_a_schema(self):
        schema = {"type": "object", "properties": {"port": {"enum": ["Lisboa", "Porto"]}, "berth": {"type": "integer", "minimum": 1, "maximum": 9}},
                  "required": ["port", "berth"], "additionalProperties": False}
        request = generation_pb.GenerateRequest(
            prompt=generation_pb.Prompt(text="As JSON: "), max_new_tokens=64,
            response_format=generation_pb.ResponseFormat(json_schema=json.dumps(schema)))
        events = list(self.generation.GenerateStream(request, timeout=60))
        result = events[-1].result
        self.assertEqual("".join(event.token.text for event in events), result.text)
        self.assertEqual(result.finish_reason, generation_pb.END_OF_TEXT)
        value = json.loads(result.text)
        self.assertIn(value["port"], ["Lisboa", "Porto"])
        self.assertIn(value["berth"], range(1, 10))

    def test_a_model_without_a_chat_template_says_so(self):
        chat = generation_pb.Chat(messages=[generation_pb.ChatMessage(role="user", content="Hello")])
        with self.assertRaises(grpc.RpcError) as raised:
            self.generation.Generate(generation_pb.GenerateRequest(prompt=generation_pb.Prompt(chat=chat)), timeout=30)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)
        self.assertIn("chat template", raised.exception.details())

    def test_upload_search_delete(self):
        content = "The zephyrine valve of boiler nine is opened with key seventeen.\n".encode()
        parts = [ingest_pb.UploadRequest(header=ingest_pb.UploadRequest.Header(uri="notes/valve.txt", collection="uploads")),
                 ingest_pb.UploadRequest(content=content[:20]), ingest_pb.UploadRequest(content=content[20:])]
        document = self.ingest.Upload(iter(parts), timeout=60).document
        self.assertEqual(document.size_bytes, len(content))
        search = retrieval_pb.SearchRequest(collection="uploads", query="zephyrine valve")
        hits = self.retrieval.Search(search, timeout=60).hits
        self.assertEqual(hits[0].document.uri, "notes/valve.txt")
        source = self.retrieval.GetSource(
            retrieval_pb.GetSourceRequest(collection="uploads", document_id=document.id), timeout=30).content
        self.assertEqual(source, content)
        deleted = self.retrieval.DeleteDocuments(
            retrieval_pb.DeleteDocumentsRequest(collection="uploads", document_ids=[document.id]), timeout=30).deleted
        self.assertEqual(deleted, 1)
        self.assertEqual(len(self.retrieval.Search(search, timeout=60).hits), 0)

    def test_errors_are_specific(self):
        cases = [
            (lambda: self.ask.Ask(ask_pb.AskRequest(question="  "), timeout=30), grpc.StatusCode.INVALID_ARGUMENT, "question"),
            (lambda: self.ask.Ask(ask_pb.AskRequest(question="x", collection="nowhere"), timeout=30),
             grpc.StatusCode.NOT_FOUND, "nowhere"),
            (lambda: self.ingest.IngestFolder(ingest_pb.IngestFolderRequest(folder="/no/such"), timeout=30),
             grpc.StatusCode.NOT_FOUND, "/no/such"),
            (lambda: self.embedding.Classify(embedding_pb.ClassifyRequest(), timeout=30),
             grpc.StatusCode.UNIMPLEMENTED, "not implemented"),
        ]
        for call, code, words in cases:
            with self.assertRaises(grpc.RpcError) as raised:
                call()
            self.assertEqual(raised.exception.code(), code, raised.exception.details())
            self.assertIn(words, raised.exception.details())

    def test_cli_as_a_client(self):
        answer = cli_json("ask", QUESTIONS[0], server=self.ask_address)
        self.assertEqual(answer["answerability"], "ANSWERED")
        for claim in answer["claims"]:
            for citation in claim["citations"]:
                check_citation(self, citation, answer["text"],
                               source_bytes(citation["document_uri"], citation["source_kind"], self.extracted))


class OneProcess(EndToEnd, unittest.TestCase):
    @classmethod
    def start_services(cls):
        daemon = cls.start(data=cls.data)
        cls.ask_address = cls.ingest_address = cls.embedding_address = daemon.address
        cls.generation_address = cls.retrieval_address = daemon.address

    def test_cluster_groups_the_collection(self):
        request = embedding_pb.ClusterRequest(clusters=3, seed=1)
        request.input.chunks.collection = "default"
        response = self.embedding.Cluster(request, timeout=120)
        self.assertEqual(len(response.clusters), 3)
        self.assertEqual(sum(c.size for c in response.clusters), len(response.assignments))


class FourProcesses(EndToEnd, unittest.TestCase):
    @classmethod
    def start_services(cls):
        embedding = cls.start("--roles=embedding")
        generation = cls.start("--roles=generation", "--reranker", str(SOURCE / "tests/golden/models/bert-pairs"))
        retrieval = cls.start("--roles=retrieval", "--embedding-address", embedding.address, data=cls.data)
        both = cls.start("--roles=ingest,ask", "--embedding-address", embedding.address, "--generation-address",
                         generation.address, "--retrieval-address", retrieval.address)
        cls.embedding_address, cls.generation_address = embedding.address, generation.address
        cls.retrieval_address = retrieval.address
        cls.ask_address = cls.ingest_address = both.address

    def test_rerank_orders_texts(self):
        texts = ["a dog", "the cat sat", "river"]
        response = self.generation.Rerank(generation_pb.RerankRequest(query="the cat", texts=texts), timeout=30)
        self.assertEqual(sorted(response.order), [0, 1, 2])
        ordered = [response.scores[i] for i in response.order]
        self.assertEqual(ordered, sorted(ordered, reverse=True))
        self.assertEqual(response.model, "bert-pairs")

    def test_a_reader_in_another_process_points_at_answers(self):
        # A tiny one with random weights: what it points at is nonsense, and cited true to the byte all the same.
        generation = self.start("--roles=generation", "--reader", str(SOURCE / "tests/golden/models/bert-reader"))
        asking = self.start("--roles=ask", "--embedding-address", self.embedding_address, "--generation-address",
                            generation.address, "--retrieval-address", self.retrieval_address)
        answer = cli_json("ask", QUESTIONS[0], "--min-evidence", "0", server=asking.address)
        self.assertEqual(answer["answerability"], "ANSWERED")
        self.assertEqual(len(answer["receipt"]["reader_fingerprint"]), 64)
        self.assertEqual(answer["receipt"]["decoder_fingerprint"], "")
        self.assertTrue(answer["claims"])
        for claim in answer["claims"]:
            for citation in claim["citations"]:
                check_citation(self, citation, answer["text"],
                               source_bytes(citation["document_uri"], citation["source_kind"], self.extracted))


if __name__ == "__main__":
    unittest.main()
