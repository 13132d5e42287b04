"""Questions that one cell of a table answers, English and Portuguese, asked of a server: the answer is that cell, cited by
its row, byte for byte; rows that are not there are not made up from others."""

import pathlib
import sys
import tempfile
import unittest

from programs import SOURCE, answers_of_sets, check_citation, check_share

sys.path.insert(0, str(SOURCE / "tests/bench"))
import table_sets  # noqa: E402

# Floors a little below what was measured when they were set; raise them when the answers get better.
MIN_RIGHT = 0.85
MIN_REFUSED = 0.85


class Tables(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        sets = pathlib.Path(cls.folder.name) / "sets"
        cls.asked = answers_of_sets(cls.folder.name, "store", sets, table_sets.write_sets(sets, rows_a_question=1))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_the_cell_that_is_asked_for_answers(self):
        check_share(self, "right cells", MIN_RIGHT, [answer["text"] in q["answers"] for _, q, answer in self.asked if q["answers"]])

    def test_rows_that_are_not_there_are_not_made_up(self):
        check_share(self, "refused", MIN_REFUSED, [answer["answerability"] != "ANSWERED" for _, q, answer in self.asked if not q["answers"]])

    def test_cells_are_cited_by_their_rows(self):
        seen = 0
        for folder, q, answer in self.asked:
            if answer["text"] not in q["answers"]:
                continue
            for claim in answer["claims"]:
                for citation in claim["citations"]:
                    check_citation(self, citation, answer["text"], (folder / citation["document_uri"]).read_bytes())
                    row = citation["shown_text"] or citation["quote"]
                    self.assertIn(answer["text"], row.split(" | "))
                    self.assertNotIn("\n", row)
                    self.assertEqual(citation["document_uri"], q["document"])
                    seen += 1
        self.assertGreater(seen, 0)


if __name__ == "__main__":
    unittest.main()
