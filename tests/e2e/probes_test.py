"""`lastro eval --probes` with the built-in models, in process and against a server: no attack succeeds, something was
looked at for each, and nothing is left behind."""

import tempfile
import unittest

from programs import SANITIZED, Daemon, cli_json

KINDS = ["citations", "ids", "hidden text", "invisible characters", "control tokens", "other scopes", "prompt", "failures"]


class Probes(unittest.TestCase):
    def check(self, report):
        self.assertEqual([probe["name"] for probe in report["probes"]], KINDS)
        for probe in report["probes"]:
            self.assertEqual(probe["successes"], 0, probe)
            self.assertGreater(probe["attempts"], 20, probe)
        self.assertEqual(report["successes"], 0)
        self.assertGreater(report["documents"], 30)
        self.assertGreater(report["citations"], 10)

    def test_no_attack_succeeds(self):
        with tempfile.TemporaryDirectory() as data:
            self.check(cli_json("eval", "--probes", data=data))
            self.assertEqual(cli_json("collections", "list", data=data)["collections"], [])

    @unittest.skipIf(SANITIZED, "too slow twice")
    def test_a_server_is_left_as_it_was(self):
        with tempfile.TemporaryDirectory() as data, Daemon(data=data) as daemon:
            self.check(cli_json("eval", "--probes", server=daemon.address))
            for tenant in ([], ["--tenant", "lastro-probe-other"]):
                self.assertEqual(cli_json(*tenant, "collections", "list", server=daemon.address)["collections"], [])


if __name__ == "__main__":
    unittest.main()
