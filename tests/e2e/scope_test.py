"""Nobody sees what is not his: random callers, with tenants and access labels, read documents of a server in every way
there is, while they change. Each document carries a word of its own; no answer may carry the word of a document that its caller
does not see. LASTRO_LEAK_CALLS sets the number of calls (default 3,000)."""

import collections
import contextlib
import os
import random
import re
import tempfile
import time
import unittest

import grpc

from programs import Daemon, proto

SERVICES = ("ask", "embedding", "ingest", "retrieval")
ask_pb, embedding_pb, ingest_pb, retrieval_pb = (proto(n + "_pb2") for n in SERVICES)
ask_grpc, embedding_grpc, ingest_grpc, retrieval_grpc = (proto(n + "_pb2_grpc") for n in SERVICES)
store_pb, store_grpc = proto("store_pb2"), proto("store_pb2_grpc")

CALLS = int(os.environ.get("LASTRO_LEAK_CALLS", "3000"))
SEED = int(os.environ.get("LASTRO_LEAK_SEED", "20261128"))
TENANTS = ("acme", "globex", "initech")
LABELS = ("hr", "board", "ops", "legal")
DOCUMENTS = 60  # of a tenant
TOPICS = ("The annual leave of the staff", "The pay of the directors", "The repair of the pumps",
          "O prazo de pagamento das faturas", "The lease of the office", "As férias da equipa")
WORD = re.compile(rb"zq[0-9]{5}x")

Document = collections.namedtuple("Document", "id uri word labels")
Caller = collections.namedtuple("Caller", "tenant labels")  # labels None: all


class Leaks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        try:
            cls.data = cls.stack.enter_context(tempfile.TemporaryDirectory())
            cls.server = cls.stack.enter_context(Daemon("--require-scope", data=cls.data))
            cls.channel = cls.stack.enter_context(grpc.insecure_channel(cls.server.address))
        except BaseException:
            cls.stack.close()
            raise
        cls.ask = ask_grpc.AskServiceStub(cls.channel)
        cls.embedding = embedding_grpc.EmbeddingServiceStub(cls.channel)
        cls.ingest = ingest_grpc.IngestServiceStub(cls.channel)
        cls.retrieval = retrieval_grpc.RetrievalServiceStub(cls.channel)
        cls.store = store_grpc.StoreServiceStub(cls.channel)
        cls.random = random.Random(SEED)
        cls.words = 0
        cls.known = {tenant: {} for tenant in TENANTS}  # by uri
        for tenant in TENANTS:
            for number in range(DOCUMENTS):
                cls.put(tenant, f"doc{number}.txt")

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    @staticmethod
    def metadata(caller):
        labels = "*" if caller.labels is None else ",".join(sorted(caller.labels))
        return (("lastro-tenant", caller.tenant), ("lastro-labels", labels))

    @classmethod
    def put(cls, tenant, uri):
        """Adds a document, or replaces it with other text and labels."""
        cls.words += 1
        word = f"zq{cls.words:05d}x"
        labels = [label for label in LABELS if cls.random.random() < 0.3]
        topic = cls.random.choice(TOPICS)
        text = f"{topic} is settled in document {word}. {topic}: see {word}, paragraph {cls.random.randrange(100)}."
        header = ingest_pb.UploadRequest.Header(uri=uri, labels=labels)
        parts = iter([ingest_pb.UploadRequest(header=header), ingest_pb.UploadRequest(content=text.encode())])
        stored = cls.ingest.Upload(parts, timeout=60, metadata=cls.metadata(Caller(tenant, None))).document
        cls.known[tenant][uri] = Document(stored.id, uri, word.encode(), frozenset(labels))

    def visible(self, caller):
        documents = self.known[caller.tenant].values()
        return {d.word for d in documents if caller.labels is None or not d.labels or d.labels & caller.labels}

    def random_caller(self):
        labels = None if self.random.random() < 0.2 else frozenset(x for x in LABELS if self.random.random() < 0.35)
        return Caller(self.random.choice(TENANTS), labels)

    def any_document(self):
        """Of any tenant: what a curious caller may have heard of."""
        return self.random.choice(list(self.known[self.random.choice(TENANTS)].values()))

    def some_filter(self):
        pb = retrieval_pb.SearchRequest().filter.__class__
        if self.random.random() < 0.6:
            return pb()
        chosen = pb()
        chosen.comparison.field = self.random.choice(("label", "uri", "origin"))
        chosen.comparison.op = self.random.choice((chosen.Comparison.EQUAL, chosen.Comparison.NOT_EQUAL))
        chosen.comparison.values.add().string_value = self.random.choice(LABELS + ("", "upload", "doc1.txt"))
        return chosen

    # Each gives the call that a caller makes: what may fail with NOT_FOUND or PERMISSION_DENIED, and nothing else.

    def search(self):
        text = self.random.choice(TOPICS + (self.any_document().word.decode(),))
        mode = self.random.choice((retrieval_pb.SearchRequest.LEXICAL, retrieval_pb.SearchRequest.LEXICAL,
                                   retrieval_pb.SearchRequest.DENSE, retrieval_pb.SearchRequest.HYBRID))
        request = retrieval_pb.SearchRequest(query=text, mode=mode, limit=self.random.choice((1, 10, 1000)),
                                             filter=self.some_filter())
        return lambda metadata: self.retrieval.Search(request, timeout=60, metadata=metadata)

    def ask_question(self):
        request = ask_pb.AskRequest(question=f"What about {self.random.choice(TOPICS)}?", include_passages=True,
                                    filter=self.some_filter())
        return lambda metadata: self.ask.Ask(request, timeout=120, metadata=metadata)

    def get_document(self):
        document = self.any_document()
        by_id = retrieval_pb.GetDocumentRequest(document_id=document.id)
        by_uri = retrieval_pb.GetDocumentRequest(uri=document.uri)
        request = self.random.choice((by_id, by_uri))
        return lambda metadata: self.retrieval.GetDocument(request, timeout=60, metadata=metadata)

    def list_documents(self):
        request = retrieval_pb.ListDocumentsRequest(filter=self.some_filter(), page_size=self.random.choice((3, 1000)))
        return lambda metadata: self.retrieval.ListDocuments(request, timeout=60, metadata=metadata)

    def list_chunks(self):
        request = retrieval_pb.ListChunksRequest(document_id=self.any_document().id)
        return lambda metadata: self.retrieval.ListChunks(request, timeout=60, metadata=metadata)

    def get_source(self):
        request = retrieval_pb.GetSourceRequest(document_id=self.any_document().id)
        return lambda metadata: self.retrieval.GetSource(request, timeout=60, metadata=metadata)

    def read_original(self):
        request = store_pb.ReadOriginalRequest(document_id=self.any_document().id)
        return lambda metadata: list(self.store.ReadOriginal(request, timeout=60, metadata=metadata))

    def document_states(self):
        request = store_pb.GetDocumentStatesRequest()
        return lambda metadata: list(self.store.GetDocumentStates(request, timeout=60, metadata=metadata))

    def search_store(self):
        query = retrieval_pb.SearchRequest(query=self.any_document().word.decode(), limit=100,
                                           mode=retrieval_pb.SearchRequest.LEXICAL)
        request = store_pb.SearchStoreRequest(query=query)

        def call(metadata):
            response = self.store.SearchStore(request, timeout=60, metadata=metadata)
            response.ClearField("explanation")  # it has the words of the query
            return response

        return call

    def cluster(self):
        chunks = embedding_pb.EmbeddingInput.Chunks(collection="default", filter=self.some_filter())
        request = embedding_pb.ClusterRequest(input=embedding_pb.EmbeddingInput(chunks=chunks), clusters=2)
        return lambda metadata: self.embedding.Cluster(request, timeout=120, metadata=metadata)

    def collections(self):
        return lambda metadata: self.retrieval.ListCollections(retrieval_pb.ListCollectionsRequest(), timeout=60,
                                                               metadata=metadata)

    def find_vectors(self):
        """Whether a text is known to somebody; the caller may know the text, not who has it."""
        tenant = self.random.choice(TENANTS)
        document = self.random.choice(list(self.known[tenant].values()))
        request = retrieval_pb.ListChunksRequest(document_id=document.id)
        chunks = self.retrieval.ListChunks(request, timeout=60, metadata=self.metadata(Caller(tenant, None))).chunks
        fingerprint = self.retrieval.GetCollection(retrieval_pb.GetCollectionRequest(), timeout=60,
                                                   metadata=self.metadata(Caller(tenant, None))).embedding_fingerprint
        keys = store_pb.FindVectorsRequest(text_sha256=[chunk.text_sha256 for chunk in chunks], fingerprint=fingerprint)

        def call(metadata):
            response = self.store.FindVectors(keys, timeout=60, metadata=metadata)
            sees = document.word in self.visible(self.caller)
            self.assertEqual([bool(vector.values) for vector in response.vectors], [sees] * len(chunks))
            return response

        return call

    def delete(self):
        document = self.any_document()

        def call(metadata):
            request = retrieval_pb.DeleteDocumentsRequest(document_ids=[document.id])
            response = self.retrieval.DeleteDocuments(request, timeout=60, metadata=metadata)
            caller = self.caller
            own = self.known[caller.tenant].get(document.uri)
            sees = own is not None and own.id == document.id and own.word in self.visible(caller)
            self.assertEqual(response.deleted, 1 if sees else 0)
            if sees:
                del self.known[caller.tenant][document.uri]
            return response

        return call

    def check(self, response, caller, name):
        messages = response if isinstance(response, list) else [response]
        seen = set()
        for message in messages:
            seen.update(WORD.findall(message.SerializeToString()))
        foreign = seen - self.visible(caller)
        self.assertFalse(foreign, f"{name} by {caller} carries {foreign}")
        return len(seen)

    def test_no_foreign_text_in_any_answer(self):
        kinds = [self.search] * 50 + [self.get_document] * 10 + [self.list_documents] * 5 + [self.list_chunks] * 8
        kinds += [self.get_source] * 8 + [self.read_original] * 5 + [self.document_states] * 3
        kinds += [self.find_vectors] * 5 + [self.search_store] * 5 + [self.collections] * 2 + [self.delete]
        rare = [self.ask_question] * 3 + [self.cluster]
        begin, counts, carried = time.time(), collections.Counter(), 0
        for number in range(CALLS):
            if self.random.random() < 0.02:
                tenant = self.random.choice(TENANTS)
                self.put(tenant, f"doc{self.random.randrange(DOCUMENTS)}.txt")
            kind = self.random.choice(rare if self.random.random() < 0.01 else kinds)
            call = kind()
            for _ in range(self.random.choice((1, 1, 2))):  # the same by another caller: what a cache would mix up
                self.caller = self.random_caller()
                try:
                    carried += self.check(call(self.metadata(self.caller)), self.caller, kind.__name__)
                    counts[kind.__name__] += 1
                except grpc.RpcError as error:
                    allowed = [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED]
                    if kind == self.cluster:
                        allowed.append(grpc.StatusCode.INVALID_ARGUMENT)  # too few chunks to cluster
                    self.assertIn(error.code(), allowed, f"call {number}, {kind.__name__}: {error}")
                    self.assertFalse(WORD.search(error.details().encode()), error.details())
                    counts[kind.__name__ + " refused"] += 1
        print(f"{sum(counts.values())} calls in {time.time() - begin:.0f} s, {carried} words seen by those they are for")
        print(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
        for kind in set(kinds + rare):
            self.assertGreater(counts[kind.__name__], 0, f"{kind.__name__} never succeeded")
        self.assertGreater(carried, CALLS, "the test sees too little to prove anything")

    def test_calls_without_a_scope_are_refused(self):
        for metadata in ((), (("lastro-tenant", "acme"),), (("lastro-labels", "*"),),
                         (("lastro-tenant", ""), ("lastro-labels", "*"))):
            with self.assertRaises(grpc.RpcError) as refused:
                self.retrieval.Search(retrieval_pb.SearchRequest(query="pumps"), timeout=30, metadata=metadata)
            self.assertEqual(refused.exception.code(), grpc.StatusCode.UNAUTHENTICATED, metadata)
        for metadata in ((("lastro-tenant", "../acme"), ("lastro-labels", "*")),
                         (("lastro-tenant", "acme"), ("lastro-labels", "a;b")),
                         (("lastro-tenant", "acme"), ("lastro-tenant", "globex"), ("lastro-labels", "*"))):
            with self.assertRaises(grpc.RpcError) as refused:
                self.retrieval.Search(retrieval_pb.SearchRequest(query="pumps"), timeout=30, metadata=metadata)
            self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT, metadata)

    def test_another_tenants_collection_cannot_be_spelled(self):
        metadata = self.metadata(Caller("globex", None))
        for name in ("acme/default", "/default", "default/", "acme//default"):
            with self.assertRaises(grpc.RpcError) as refused:
                self.retrieval.Search(retrieval_pb.SearchRequest(query="pumps", collection=name), timeout=30,
                                      metadata=metadata)
            self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT, name)


if __name__ == "__main__":
    unittest.main()
