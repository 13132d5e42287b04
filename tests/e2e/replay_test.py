"""Answers to a great many questions, with every setting, are made again from their receipts: by the server that gave
them, by another process after a restart, beside documents of another collection, and beside others in the same one, where
whatever comes out otherwise must be told with what has changed.

LASTRO_REPLAYED_RECEIPTS: how many answers (default 24, 6 with a sanitizer); LASTRO_TEST_SEED: another draw.
"""

import collections
import json
import os
import pathlib
import random
import sys
import tempfile
import unittest

import grpc
from google.protobuf import json_format

from programs import SANITIZED, Daemon, proto, run_cli
from random_questions import Requests, write_documents

ask_pb, ask_grpc = proto("ask_pb2"), proto("ask_pb2_grpc")

RECEIPTS = int(os.environ.get("LASTRO_REPLAYED_RECEIPTS", "6" if SANITIZED else "24"))
SEED = int(os.environ.get("LASTRO_TEST_SEED", "20261128"))
DOCUMENTS = 12
GENERATE_SHARE = 0.6
EXIT_CHANGED = 6


class Replay(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = pathlib.Path(cls.folder.name)
        cls.data, cls.receipts = root / "data", root / "receipts.jsonl"
        cls.documents, cls.unrelated = root / "documents", root / "unrelated"
        for folder, seed in ((cls.documents, SEED), (cls.unrelated, SEED + 1)):
            folder.mkdir()
            write_documents(folder, random.Random(seed), DOCUMENTS)
        run_cli("ingest", cls.documents, data=cls.data)
        requests = Requests(random.Random(SEED))
        with Daemon(data=cls.data) as daemon:
            with grpc.insecure_channel(daemon.address) as channel, open(cls.receipts, "w") as file:
                stub = ask_grpc.AskServiceStub(channel)
                for _ in range(RECEIPTS):
                    answer = stub.Ask(requests.next(GENERATE_SHARE), timeout=300).answer
                    line = json_format.MessageToJson(answer, preserving_proto_field_name=True, indent=None)
                    file.write(line + "\n")
            cls.by_the_same_server = cls.replay(server=daemon.address)
        cls.after_a_restart = cls.replay(data=cls.data)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def replay(cls, **where):
        run = run_cli("replay", cls.receipts, "--json", check=False, timeout=7200, **where)
        if run.returncode not in (0, EXIT_CHANGED):
            raise AssertionError(f"lastro replay exited {run.returncode}: {run.stderr}")
        reports = [json.loads(line) for line in run.stdout.splitlines()]
        assert len(reports) == RECEIPTS, len(reports)
        assert run.returncode == (0 if all(report["same"] for report in reports) else EXIT_CHANGED), run.returncode
        return reports

    def check_same(self, reports, changes=()):
        """All are the same, and nothing has changed but what begins as one of `changes`."""
        told = collections.Counter(change for report in reports for change in report["changes"])
        print(self.id(), sum(report["same"] for report in reports), "of", len(reports), dict(told.most_common(5)),
              file=sys.stderr)
        other = [report for report in reports if not report["same"]]
        self.assertEqual(len(other), 0, json.dumps(other[:3], indent=1)[:20000])
        self.assertEqual([change for change in told if not change.startswith(tuple(changes))], [])

    def test_1_the_same_server_gives_the_same_answers(self):
        self.check_same(self.by_the_same_server)
        modes = collections.Counter(report["then"]["request"]["mode"] for report in self.by_the_same_server)
        kinds = collections.Counter(report["now"]["answerability"] for report in self.by_the_same_server)
        print(dict(modes), dict(kinds), file=sys.stderr)
        self.assertEqual(len(modes), 2)
        self.assertGreater(kinds["ANSWERED"], RECEIPTS // 4)

    def test_2_another_process_gives_the_same_answers(self):
        self.check_same(self.after_a_restart)

    def test_3_documents_of_another_collection_change_no_answer(self):
        run_cli("ingest", self.unrelated, "--collection", "unrelated", data=self.data)
        self.check_same(self.replay(data=self.data), ["the store's commit"])

    def test_4_what_other_documents_of_the_collection_change_is_told(self):
        run_cli("ingest", self.unrelated / "sample", data=self.data)
        run_cli("ingest", self.unrelated / "hostile", data=self.data)
        reports = self.replay(data=self.data)
        other = [report for report in reports if not report["same"]]
        print(self.id(), len(reports) - len(other), "of", len(reports), "are the same", file=sys.stderr)
        for report in other:
            told = [change for change in report["changes"] if not change.startswith("the store's commit")]
            self.assertNotEqual(told, [], report["then"]["request"])
            self.assertFalse([change for change in told if "nothing that a receipt holds" in change], report)


if __name__ == "__main__":
    unittest.main()
