"""Citations of a great many answers, held against the documents' own bytes: whatever is asked with whatever settings,
of the sample and of hostile documents, each citation is of a document and a passage that was given for the answer, and is
its bytes to the letter. Nothing of Lastro's code has a part in the comparison: it reads the files, and PDF by pdftotext.

LASTRO_CITED_ANSWERS: how many answers (default 60; 12 with a sanitizer); LASTRO_TEST_SEED: another draw. SIGTERM ends
a long run and tells what was found so far.
"""

import collections
import hashlib
import html
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import unicodedata
import unittest

import grpc

from programs import SANITIZED, Daemon, proto, wait_for_job
from random_questions import Requests, write_documents

ask_pb, ingest_pb = proto("ask_pb2"), proto("ingest_pb2")
ask_grpc, ingest_grpc = proto("ask_pb2_grpc"), proto("ingest_pb2_grpc")

ANSWERS = int(os.environ.get("LASTRO_CITED_ANSWERS", "12" if SANITIZED else "60"))
SEED = int(os.environ.get("LASTRO_TEST_SEED", "20261128"))
DOCUMENTS = 36
CLIENTS = 4
GENERATE_SHARE = 0.9
WORD = re.compile(r"\w+")
STOP = threading.Event()


def words(text):
    """What a text says, without markup, case, hidden characters and the forms of its letters."""
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Mn", "Cc", "Cn") or c.isspace())
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def follows(needle, haystack):
    """The words of `needle` stand in `haystack` in this order."""
    rest = iter(haystack)
    return all(word in rest for word in needle)


def within(needle, haystack):
    """The words of `needle` stand in `haystack` in this order, nothing between them."""
    return any(haystack[i:i + len(needle)] == needle for i in range(len(haystack) - len(needle) + 1))


class Problem(Exception):
    pass


def expect(holds, what):
    if not holds:
        raise Problem(what)


class Library:
    """The documents as they lie on the disk."""

    def __init__(self, root):
        self.root = root
        self.extracted = {}

    def source(self, uri, kind):
        path = (self.root / uri).resolve()
        expect(path.is_relative_to(self.root.resolve()) and path.is_file(), f"{uri} is no document")
        if kind != ask_pb.Citation.DESCRIPTOR.fields_by_name["source_kind"].enum_type.values_by_name[
                "SOURCE_KIND_EXTRACTED_TEXT"].number:
            return path.read_bytes()
        if uri not in self.extracted:
            self.extracted[uri] = subprocess.run(["pdftotext", "-q", "-enc", "UTF-8", "-eol", "unix", path, "-"],
                                                 capture_output=True, check=True).stdout
        return self.extracted[uri]


def says_most(quote, said):
    """What a paraphrase owes to its source: each number and name, and most of its longer words in their order, whatever
    endings and accents."""
    quote, said = ("".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
                   for text in (quote, said))
    facts = [word for i, word in enumerate(WORD.findall(said)) if any(map(str.isdigit, word)) or i and word[0].isupper()]
    stems, of_quote = ([word[:4] for word in words(text) if len(word) >= 4] for text in (said, quote))
    return set(words(" ".join(facts))) <= set(words(quote)) and 2 * in_order(stems, of_quote) > len(stems)


def in_order(some, others):
    """The length of their longest common subsequence."""
    row = [0] * (len(others) + 1)
    for word in some:
        diagonal = 0
        for j, other in enumerate(others):
            longest = diagonal + 1 if word == other else max(row[j], row[j + 1])
            diagonal, row[j + 1] = row[j + 1], longest
    return row[-1]


def check_citation(citation, claim, answer, library):
    given = {(p.document_uri, p.document_id, p.chunk_id) for p in answer.passages}
    expect((citation.document_uri, citation.document_id, citation.chunk_id) in given, "an id that was not in the context")
    source = library.source(citation.document_uri, citation.source_kind)
    expect(hashlib.sha256(source).hexdigest() == citation.source_sha256, "another source")
    begin, end = citation.source_range.begin, citation.source_range.end
    expect(0 <= begin < end <= len(source), "a range outside the source")
    encoding = citation.encoding or "UTF-8"
    quote = citation.quote.encode() if encoding == "UTF-8" else citation.quote
    cited = source[begin:end] if encoding == "UTF-8" else source[begin:end].decode(encoding)
    expect(cited == quote, "other bytes than the source's")
    text = answer.text.encode()
    expect(0 <= citation.answer_range.begin < citation.answer_range.end <= len(text), "a range outside the answer")
    said = text[citation.answer_range.begin:citation.answer_range.end].decode()
    markup = citation.document_uri.endswith((".html", ".md"))
    part = citation.quote
    if citation.HasField("answer_in_quote"):  # a few words of it are the answer
        begin, end = citation.answer_in_quote.begin, citation.answer_in_quote.end
        expect(0 <= begin < end <= len(part.encode()), "an answer outside the quote")
        part = part.encode()[begin:end].decode()
    part = re.sub(r"&(\w+|#\w+);", lambda m: html.unescape(m.group()), part)
    quoted = words(part)
    if claim.support == ask_pb.Claim.PARAPHRASE:
        expect(answer.mode == ask_pb.ANSWER_MODE_GENERATE and says_most(part, said), "a paraphrase of something else")
    elif encoding != "UTF-8":  # where in a transcription the words stand is not told
        expect(within(words(said), quoted), "words that the quote does not say")
    else:
        expect(follows(words(said), quoted) if markup else words(said) == quoted, "words that the quote does not say")


def check_answer(answer, library):
    """The numbers of its citations and of the paraphrases among them; raises Problem."""
    expect(answer.answerability in (ask_pb.ANSWERED, ask_pb.CONFLICTING) or not answer.claims, "claims of no answer")
    counts = collections.Counter()
    for claim in answer.claims:
        expect(claim.citations or not claim.supported, "a supported claim without a citation")
        for citation in claim.citations:
            check_citation(citation, claim, answer, library)
            counts["citations"] += 1
            counts["paraphrases"] += claim.support == ask_pb.Claim.PARAPHRASE
    return counts


class Asker(threading.Thread):
    """Asks its share of the questions one after another."""

    def __init__(self, address, number, count, library):
        super().__init__()
        self.address, self.count, self.library = address, count, library
        self.requests = Requests(random.Random(f"{SEED}/{number}"))
        self.counts, self.problems = collections.Counter(), []

    def run(self):
        with grpc.insecure_channel(self.address) as channel:
            stub = ask_grpc.AskServiceStub(channel)
            for number in range(1, self.count + 1):
                if STOP.is_set():
                    return
                request = self.requests.next(GENERATE_SHARE)
                request.include_passages = True
                try:
                    answer = stub.Ask(request, timeout=300).answer
                    self.counts["generated" if request.mode == ask_pb.ANSWER_MODE_GENERATE else "quoted"] += 1
                    self.counts[ask_pb.Answerability.Name(answer.answerability)] += 1
                    self.counts += check_answer(answer, self.library)
                except (Problem, grpc.RpcError, UnicodeDecodeError) as error:
                    self.problems.append(f"{error!r}\n{request}")
                if number % 100 == 0:
                    print(number, dict(self.counts), len(self.problems), "problems", file=sys.stderr, flush=True)


class Citations(unittest.TestCase):
    def test_every_citation_is_bytes_of_a_document_that_was_given(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder) / "documents"
            root.mkdir()
            write_documents(root, random.Random(SEED), DOCUMENTS)
            with Daemon(data=pathlib.Path(folder) / "data") as daemon:
                with grpc.insecure_channel(daemon.address) as channel:
                    ingest = ingest_grpc.IngestServiceStub(channel)
                    job = wait_for_job(ingest, ingest.IngestFolder(
                        ingest_pb.IngestFolderRequest(folder=str(root)), timeout=60).id)
                    self.assertEqual(list(job.problems), [])
                askers = [Asker(daemon.address, i, ANSWERS // CLIENTS + (i < ANSWERS % CLIENTS), Library(root))
                          for i in range(CLIENTS)]
                signal.signal(signal.SIGTERM, lambda *_: STOP.set())
                for asker in askers:
                    asker.start()
                for asker in askers:
                    asker.join()
        counts = sum((asker.counts for asker in askers), collections.Counter())
        problems = [problem for asker in askers for problem in asker.problems]
        print(dict(counts), len(problems), "problems", file=sys.stderr)
        self.assertEqual(problems, [], "\n\n".join(problems[:5]))
        self.assertEqual(counts["generated"] + counts["quoted"], ANSWERS)
        self.assertGreater(counts["citations"], ANSWERS // 8)  # otherwise little was compared

    def test_a_false_citation_is_seen(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "a.txt").write_bytes("The crew is café. The end.\n".encode())
            source = (pathlib.Path(folder) / "a.txt").read_bytes()

            def answer():
                good = ask_pb.Answer(text="The crew is café.", answerability=ask_pb.ANSWERED)
                good.passages.add(document_uri="a.txt", document_id="d", chunk_id=3)
                claim = good.claims.add(supported=True)
                claim.citations.add(document_uri="a.txt", document_id="d", chunk_id=3, quote="The crew is café.",
                                    source_sha256=hashlib.sha256(source).hexdigest(), source_range={"begin": 0, "end": 18},
                                    answer_range={"begin": 0, "end": 18}, encoding="UTF-8")
                return good, claim.citations[0]

            library = Library(pathlib.Path(folder))
            self.assertEqual(check_answer(answer()[0], library), collections.Counter(citations=1))
            for field, value in (("document_id", "e"), ("document_uri", "../a.txt"), ("chunk_id", 4), ("quote", "The end."),
                                 ("source_sha256", "0")):
                bad, citation = answer()
                setattr(citation, field, value)
                with self.assertRaises(Problem, msg=field):
                    check_answer(bad, library)
            for name, range in (("source_range", (1, 18)), ("source_range", (0, 99)), ("answer_range", (0, 8)),
                                ("answer_range", (0, 40))):
                bad, citation = answer()
                getattr(citation, name).begin, getattr(citation, name).end = range
                with self.assertRaises(Problem, msg=f"{name} {range}"):
                    check_answer(bad, library)
            for range in ((0, 3), (0, 99)):  # other words than the answer's, and none of the quote's
                bad, citation = answer()
                citation.answer_in_quote.begin, citation.answer_in_quote.end = range
                with self.assertRaises(Problem, msg=f"answer_in_quote {range}"):
                    check_answer(bad, library)
            good, citation = answer()
            good.text = "café"
            citation.answer_range.end = claim_end = len("café".encode())
            citation.answer_in_quote.begin, citation.answer_in_quote.end = 12, 12 + claim_end
            self.assertEqual(check_answer(good, library), collections.Counter(citations=1))
            for text, holds in (("The crews are cafe.", True), ("A crew is at the Café.", True), ("The crew is 2.", False),
                                ("The crew is Thai.", False), ("The café had a crew.", False)):
                freely, citation = answer()
                freely.mode, freely.claims[0].support, freely.text = ask_pb.ANSWER_MODE_GENERATE, ask_pb.Claim.PARAPHRASE, text
                citation.answer_range.end = len(text.encode())
                if holds:
                    self.assertEqual(check_answer(freely, library), collections.Counter(citations=1, paraphrases=1), text)
                    freely.mode = ask_pb.ANSWER_MODE_QUOTE  # such answers hold no words of the model's
                with self.assertRaises(Problem, msg=text):
                    check_answer(freely, library)
            bad, citation = answer()
            del bad.claims[0].citations[:]
            with self.assertRaises(Problem):
                check_answer(bad, library)


if __name__ == "__main__":
    unittest.main()
