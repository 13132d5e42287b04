"""`lastro eval` on a tiny BEIR folder and a tiny SQuAD file with the built-in models: what is searched and answered is
sensible, and every figure of the report follows from the lines written for the questions."""

import json
import math
import pathlib
import tempfile
import unittest

from programs import SOURCE, Daemon, cli_json, run_cli

DATA = SOURCE / "tests" / "e2e" / "eval"
BEIR = DATA / "beir"
STAGES = ["bm25", "dense", "hybrid"]


def read_lines(folder):
    return [json.loads(line) for line in (pathlib.Path(folder) / "questions.jsonl").read_text().split("\n") if line]


def means_of(report, group=""):
    metrics = next(g for g in report["groups"] if g["name"] == group)["metrics"]
    return {metric["name"]: metric["mean"] for metric in metrics}


def mean(values):
    values = list(values)
    return sum(values) / len(values)


class Eval(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.out = pathlib.Path(cls.folder.name)
        cls.data = cls.out / "data"  # the user's store: evaluation leaves it alone
        cls.beir = cli_json("eval", BEIR, "--out", cls.out / "beir", data=cls.data)
        cls.squad = cli_json("eval", DATA / "squad.json", "--out", cls.out / "squad", data=cls.data)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_rankings(self):
        judgements = {}
        for line in (BEIR / "qrels/test.tsv").read_text().splitlines()[1:]:
            query, passage, gain = line.split("\t")
            judgements.setdefault(query, {})[passage] = float(gain)
        questions = read_lines(self.out / "beir")
        self.assertEqual([q["id"] for q in questions], sorted(judgements))
        self.assertEqual((self.beir["passages"], self.beir["skipped_passages"]), (7, 1))
        self.assertEqual(json.loads((self.out / "beir/report.json").read_text()), self.beir)
        scores = {stage: [] for stage in STAGES}
        for question in questions:
            gains = judgements[question["id"]]
            for ranking in question["rankings"]:
                ids = [passage["id"] for passage in ranking["passages"]]
                self.assertEqual(len(ids), len(set(ids)))
                values = [passage["score"] for passage in ranking["passages"]]
                self.assertEqual(values, sorted(values, reverse=True))
                found = sum(gains.get(id, 0) / math.log2(i + 2) for i, id in enumerate(ids[:10]))
                best = sum(gain / math.log2(i + 2) for i, gain in enumerate(sorted(gains.values(), reverse=True)))
                scores[ranking["stage"]].append(found / best)
                self.assertAlmostEqual(question["metrics"][ranking["stage"] + ".ndcg@10"], found / best)
        for stage in STAGES:
            self.assertAlmostEqual(means_of(self.beir)[stage + ".ndcg@10"], mean(scores[stage]))
            self.assertGreater(mean(scores[stage]), 0.7)
        self.assertAlmostEqual(means_of(self.beir, "pt")["bm25.ndcg@10"], mean(scores["bm25"][2:4]))

    def test_every_mean_is_that_of_the_questions(self):
        for name, report in [("beir", self.beir), ("squad", self.squad)]:
            questions = read_lines(self.out / name)
            means = means_of(report)
            self.assertEqual(set(means), {metric for question in questions for metric in question["metrics"]})
            for metric, value in means.items():
                having = [question["metrics"][metric] for question in questions if metric in question["metrics"]]
                self.assertAlmostEqual(value, mean(having), msg=metric)

    def test_answers_of_squad(self):
        questions = {question["id"]: question for question in read_lines(self.out / "squad")}
        for id in ["s1", "s4"]:
            self.assertEqual(questions[id]["answer"]["answerability"], "ANSWERED", questions[id])
            self.assertTrue(questions[id]["answer"]["correct"], questions[id])
            self.assertEqual(questions[id]["answer"]["cited_passages"], questions[id]["gold_passages"])
        for id in ["s3", "s5"]:
            self.assertFalse(questions[id]["answer"]["correct"])
            abstained = questions[id]["answer"]["answerability"] != "ANSWERED"
            self.assertEqual(questions[id]["metrics"]["f1"], float(abstained))
            self.assertNotIn("bm25.ndcg@10", questions[id]["metrics"])

    def test_abstention(self):
        abstention = self.squad["abstention"]
        answers = [(q["answer"]["evidence"], q["answer"]["correct"], q["answerable"])
                   for q in read_lines(self.out / "squad") if q["answer"]["text"]]
        risks = []
        for evidence, _, _ in answers:
            answered = [correct for other, correct, _ in answers if other >= evidence]
            risks.append(1 - mean(answered))
            point = next(p for p in abstention["curve"] if abs(p["threshold"] - evidence) < 1e-9)
            self.assertAlmostEqual(point["coverage"], len(answered) / 5)
            self.assertAlmostEqual(point["risk"], risks[-1])
        self.assertAlmostEqual(abstention["area"], mean(risks))
        self.assertEqual(abstention["precision"], 0.8)
        chosen = [correct for evidence, correct, _ in answers if evidence >= abstention["threshold"]]
        self.assertAlmostEqual(abstention["coverage"], len(chosen) / 5)
        self.assertGreaterEqual(mean(chosen), 0.8)

    def test_plots(self):
        for plot in ["beir/recall.svg", "beir/risk_coverage.svg", "squad/risk_coverage.svg"]:
            text = (self.out / plot).read_text()
            self.assertTrue(text.startswith("<svg ") and text.endswith("</svg>\n"), plot)

    def test_a_comparison_with_itself_finds_nothing(self):
        lines = self.out / "beir/questions.jsonl"
        same = cli_json("eval", "compare", lines, lines)
        self.assertEqual(same["questions"], 5)
        for metric in same["metrics"]:
            self.assertEqual((metric["difference"], metric["p"]), (0, 1), metric)

    def test_a_kept_collection_serves_the_next_run(self):
        with tempfile.TemporaryDirectory() as data:
            first = cli_json("eval", BEIR, "--retrieval-only", "--keep", "tiny", data=data)
            again = cli_json("eval", BEIR, "--retrieval-only", "--keep", "tiny", data=data)
            self.assertEqual(first["groups"], again["groups"])
            self.assertEqual(means_of(first)["hybrid.ndcg@10"], means_of(self.beir)["hybrid.ndcg@10"])
            self.assertNotIn("abstention", {k for k, v in first.items() if v})
            collections = cli_json("collections", "list", data=data)["collections"]
            self.assertEqual([(c["name"], int(c["documents"])) for c in collections], [("tiny", 7)])

    def test_a_server_is_left_as_it_was(self):
        with tempfile.TemporaryDirectory() as data, Daemon(data=data) as daemon:
            report = cli_json("eval", BEIR, "--retrieval-only", server=daemon.address)
            self.assertEqual(means_of(report)["hybrid.ndcg@10"], means_of(self.beir)["hybrid.ndcg@10"])
            self.assertEqual(cli_json("collections", "list", server=daemon.address)["collections"], [])

    def test_a_cross_encoder_is_a_stage_of_its_own(self):
        # A tiny one with random weights: the order is nonsense, and all the more clearly its own.
        options = ["--reranker", SOURCE / "tests/golden/models/bert-pairs"]
        with tempfile.TemporaryDirectory() as data:
            report = cli_json("eval", BEIR, "--retrieval-only", "--keep", "tiny", "--rerank-weight", "1", *options,
                              data=data)
            self.assertTrue(report["reranker"])
            self.assertEqual((report["rerank_weight"], report["depth"]), (1, 100))
            means = means_of(report)
            self.assertEqual(means["hybrid.ndcg@10"], means_of(self.beir)["hybrid.ndcg@10"])
            self.assertNotEqual(means["reranked.ndcg@10"], means["hybrid.ndcg@10"])
            self.assertEqual(means["reranked.recall@10"], 1)
            search = ["search", "harbour crane wind", "--collection", "tiny", "--explain"]
            for weight in (None, 1):  # by default, as there is one
                weighed = search if weight is None else [*search, "--rerank-weight", str(weight)]
                hits = cli_json(*weighed, *options, data=data)["hits"]
                by_cross_encoder = sorted(hits, key=lambda hit: hit["rerank_rank"])
                self.assertEqual([hit["rerank_rank"] for hit in by_cross_encoder], list(range(1, 8)))
                for key, order in (("score", hits), ("rerank_score", hits if weight == 1 else by_cross_encoder)):
                    values = [hit[key] for hit in order]
                    self.assertEqual(values, sorted(values, reverse=True))
                share = 0.3 if weight is None else weight
                for hit in hits:
                    probability = 1 / (1 + math.exp(-hit["rerank_score"]))
                    self.assertAlmostEqual(hit["score"], share * probability + (1 - share) * hit["fused_score"])
            plain = cli_json(*search, "--no-rerank", *options, data=data)["hits"]
            self.assertEqual([hit["fused_rank"] for hit in plain], list(range(1, 8)))
            self.assertEqual(cli_json(*search, data=data)["hits"], plain)
            read = cli_json(*search, "--reranker", "built-in", data=data)["hits"]
            self.assertEqual(sorted(hit["rerank_rank"] for hit in read), list(range(1, 8)))
            refused = run_cli(*search, "--rerank", data=data, check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("reranker", refused.stderr)

    def test_questions_about_documents_that_are_there(self):
        with tempfile.TemporaryDirectory() as data:
            (pathlib.Path(data) / "docs").mkdir()
            (pathlib.Path(data) / "docs/crane.txt").write_text("The crane stops at 18 metres per second of wind.\n")
            run_cli("ingest", pathlib.Path(data) / "docs", data=pathlib.Path(data) / "store")
            questions = pathlib.Path(data) / "own.jsonl"
            questions.write_text(json.dumps({"question": "At what wind does the crane stop?", "answer": "18 metres",
                                             "document": "crane.txt"}) + "\n")
            report = cli_json("eval", questions, data=pathlib.Path(data) / "store")
            self.assertEqual(means_of(report)["hybrid.ndcg@10"], 1)
            self.assertEqual(means_of(report)["citation_precision"], 1)

    def test_wrong_data_is_refused(self):
        self.assertEqual(run_cli("eval", "/nowhere", check=False).returncode, 1)
        broken = self.out / "broken.jsonl"
        broken.write_text('{"question": "a?"}\n{"question": 5}\n')
        finished = run_cli("eval", broken, check=False)
        self.assertEqual(finished.returncode, 2)
        self.assertIn("line 2", finished.stderr)


if __name__ == "__main__":
    unittest.main()
