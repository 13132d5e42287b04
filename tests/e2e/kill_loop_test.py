"""Kills `lastro ingest` again and again (SIGKILL) while documents come, change and go: what is left is the store that an
ingestion nobody disturbed makes: the same documents, chunks, vectors and hashes.

Rounds: LASTRO_KILL_ROUNDS (default 6); or by hand: kill_loop_test.py --rounds 200.
"""

import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

from programs import LASTRO, SANITIZED, run_cli

ROUNDS = int(os.environ.get("LASTRO_KILL_ROUNDS", "6"))
DOCUMENTS = 6 if SANITIZED else 40
WORDS = "harbour cargo engine invoice rope valve captain storm ticket crane bridge ballast winter policy refund".split()


def write_document(folder, number, rng):
    paragraphs = [" ".join(rng.choices(WORDS, k=50)) + "." for _ in range(rng.randint(1, 8))]
    (folder / f"doc{number:03}.md").write_text(f"# Document {number}\n\n" + "\n\n".join(paragraphs) + "\n")


def change_some(folder, rng):
    """A third of the documents is written anew; some go."""
    for number in rng.sample(range(DOCUMENTS), DOCUMENTS // 3):
        write_document(folder, number, rng)
    (folder / f"doc{rng.randrange(DOCUMENTS):03}.md").unlink(missing_ok=True)


def stored(data):
    """All that must not depend on how it came to be, without ids and times."""
    with sqlite3.connect(f"file:{data}/lastro.db?mode=ro", uri=True) as db:
        documents = db.execute("SELECT uri, title, media_type, content_sha256, source_sha256, size_bytes, chunk_count "
                               "FROM documents ORDER BY uri").fetchall()
        (vectors,), = db.execute("SELECT searched FROM collections")
        chunks = db.execute("SELECT d.uri, c.ordinal, c.tokens, c.text_sha256, v.vector, c.layout, c.headings, c.text "
                            "FROM chunks c JOIN documents d ON d.row=c.document "
                            f"JOIN vectors_{vectors} v ON v.chunk=c.id ORDER BY d.uri, c.ordinal").fetchall()
        contents = db.execute("SELECT sha256, size_bytes FROM contents ORDER BY sha256").fetchall()
    return {"documents": documents, "chunks": chunks, "contents": contents}


class KillLoop(unittest.TestCase):
    def test_what_is_left_is_what_an_undisturbed_ingestion_makes(self):
        rng = random.Random(5)
        with tempfile.TemporaryDirectory() as folder:
            docs, data, undisturbed = (pathlib.Path(folder) / name for name in ("docs", "data", "undisturbed"))
            docs.mkdir()
            for number in range(DOCUMENTS):
                write_document(docs, number, rng)
            start = time.monotonic()
            run_cli("ingest", docs, "--sync", data=undisturbed)
            window_s = time.monotonic() - start
            killed = 0
            for _ in range(ROUNDS):
                survived = not self.ingest_and_kill(docs, data, rng.uniform(0.05, 1.0) * window_s)
                killed += not survived
                window_s *= 0.6 if survived else 1.1  # about as long as an ingestion of what has changed
                if (data / "lastro.db").exists():
                    run_cli("doctor", data=data)  # fails where anything is wrong
                change_some(docs, rng)
            self.assertGreater(killed, ROUNDS // 3, "too few ingestions were interrupted")
            for target in (data, undisturbed):
                run_cli("ingest", docs, "--sync", data=target)
                run_cli("doctor", data=target)
            left, expected = stored(data), stored(undisturbed)
            for table, rows in expected.items():
                self.assertGreater(len(rows), 0, table)
                self.assertEqual(left[table], rows, table)
            print(f"{ROUNDS} rounds, {killed} killed, {len(left['documents'])} documents, {len(left['chunks'])} chunks",
                  file=sys.stderr)

    @staticmethod
    def ingest_and_kill(docs, data, after_s):
        """Whether it was still running."""
        process = subprocess.Popen([LASTRO, "--data", str(data), "ingest", str(docs), "--sync"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _, errors = process.communicate(timeout=after_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return 1
        if process.returncode != 0:
            raise AssertionError(f"lastro ingest exited {process.returncode}: {errors}")
        return 0


if __name__ == "__main__":
    if "--rounds" in sys.argv:
        at = sys.argv.index("--rounds")
        ROUNDS = int(sys.argv[at + 1])
        del sys.argv[at:at + 2]
    unittest.main()
