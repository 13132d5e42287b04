"""Questions that a whole list answers, or one of its items, English and Portuguese, asked of a server: the answer is all of
the list and nothing else, cited byte for byte."""

import pathlib
import sys
import tempfile
import unittest

from programs import SOURCE, answers_of_sets, check_citation, check_share

sys.path.insert(0, str(SOURCE / "tests/bench"))
import list_sets  # noqa: E402

# Floors a little below what was measured when they were set; raise them when the answers get better.
MIN_LISTS = 0.90
MIN_FACTS = 0.85


class Lists(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.asked = []
        for later in (False, True):
            sets = pathlib.Path(cls.folder.name) / f"sets-{later}"
            cls.asked += answers_of_sets(cls.folder.name, f"later-{later}", sets, list_sets.write_sets(sets, later))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @staticmethod
    def words(text):
        return text.replace("\n", " ").split()

    def is_right(self, question, answer):
        return self.words(answer["text"]) in [self.words(right) for right in question["answers"]]

    def test_a_list_answers_as_a_whole(self):
        check_share(self, "whole lists", MIN_LISTS, [self.is_right(q, answer) for _, q, answer in self.asked if len(q["answers"]) > 1])

    def test_an_item_or_a_sentence_beside_the_list_answers_by_itself(self):
        said = lambda right, text: "\n" not in text and (right in text or text in right)
        check_share(self, "items and sentences", MIN_FACTS, [said(q["answers"][0], answer["text"]) for _, q, answer in self.asked if len(q["answers"]) == 1])

    def test_lists_are_cited_with_what_announces_them(self):
        seen = 0
        for folder, q, answer in self.asked:
            for claim in answer["claims"]:
                for citation in claim["citations"]:
                    check_citation(self, citation, answer["text"], (folder / citation["document_uri"]).read_bytes())
                    if len(q["answers"]) > 1 and self.is_right(q, answer):
                        self.assertEqual(citation["document_uri"], q["document"])
                        shown = self.words(citation["shown_text"] or citation["quote"])
                        self.assertIn(shown, [self.words(right) for right in q["answers"]])
                        seen += 1
        self.assertGreater(seen, 0)


if __name__ == "__main__":
    unittest.main()
