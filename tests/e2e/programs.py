"""Drives the built programs as a user would: the CLI, the daemon, and a Python client generated from the protos.

Environment: LASTRO_BUILD_DIR (the build folder), LASTRO_SOURCE_DIR (the source tree); CTest sets both.
"""

import atexit
import functools
import importlib
import json
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

SOURCE = pathlib.Path(os.environ["LASTRO_SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["LASTRO_BUILD_DIR"])
SAMPLE = SOURCE / "deploy" / "sample"
LASTRO = str(BUILD / "services" / "lastro")
LASTROD = str(BUILD / "services" / "lastrod")
START_TIMEOUT_S = 120  # sanitizer builds load slowly

def _checks_every_access():
    cache = BUILD / "CMakeCache.txt"
    return cache.exists() and "LASTRO_SANITIZE:STRING=thread" in cache.read_text()


SANITIZED = _checks_every_access()  # models run far slower there


def run_cli(*arguments, data=None, server=None, check=True, stdin=None, timeout=600):
    """Runs `lastro`; returns the finished process with text output."""
    command = [LASTRO]
    if data is not None:
        command += ["--data", str(data)]
    if server is not None:
        command += ["--server", server]
    finished = subprocess.run(command + [str(a) for a in arguments], capture_output=True, text=True, input=stdin,
                              timeout=timeout)
    if check and finished.returncode != 0:
        raise AssertionError(f"{command + list(arguments)} exited {finished.returncode}\n{finished.stdout}\n"
                             f"{finished.stderr}")
    return finished


def cli_json(*arguments, **keywords):
    return json.loads(run_cli(*arguments, "--json", **keywords).stdout)


class Daemon:
    """A running `lastrod`; `address` is where it serves. Use as a context manager."""

    def __init__(self, *arguments, data=None, listen="127.0.0.1:0"):
        command = [LASTROD, "--listen", listen]
        if data is not None:
            command += ["--data", str(data)]
        self.process = subprocess.Popen(command + [str(a) for a in arguments], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        self.lines = []
        ready = queue.Queue()
        self.reader = threading.Thread(target=self._read, args=(ready,), daemon=True)
        self.reader.start()
        try:
            self.address = ready.get(timeout=START_TIMEOUT_S)
        except queue.Empty:
            self.process.kill()
            raise AssertionError("lastrod did not get ready:\n" + "".join(self.lines)) from None
        if self.address is None:
            raise AssertionError("lastrod stopped before it was ready:\n" + "".join(self.lines))

    def _read(self, ready):
        for line in self.process.stdout:
            self.lines.append(line)
            if "ready on " in line:
                ready.put(line.split("ready on ", 1)[1].split()[0].strip('"'))
        ready.put(None)

    def rss_bytes(self):
        """Anonymous memory and swap: what the process itself holds."""
        total = 0
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith(("RssAnon:", "VmSwap:")):
                    total += int(line.split()[1]) * 1024
        return total

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.stop()
        self.reader.join(timeout=60)
        self.process.stdout.close()
        reports = [line for line in self.lines if "Sanitizer" in line or "runtime error" in line]
        if reports:
            raise AssertionError("lastrod, built with a sanitizer, reported:\n" + "".join(self.lines))


def answers_of_sets(folder, name, sets, questions):
    """Ingests SETS/LANG into stores below `folder` and asks a server the questions; (documents, question, answer) each."""
    asked = []
    for lang, of_lang in questions.items():
        data = f"{folder}/{name}-{lang}"
        cli_json("ingest", sets / lang, data=data)
        with Daemon(data=data) as daemon:
            asked += [(sets / lang, q, cli_json("ask", q["question"], server=daemon.address)) for q in of_lang]
    return asked


def check_share(test, what, floor, found):
    """That at least the share `floor` of `found` is true; prints how much is."""
    print(f"{what}: {sum(found)} of {len(found)}")
    test.assertGreaterEqual(sum(found) / len(found), floor, what)


@functools.lru_cache(maxsize=None)
def _generated_folder():
    folder = tempfile.mkdtemp(prefix="lastro_py_")
    atexit.register(shutil.rmtree, folder)
    protos = sorted(str(p.relative_to(SOURCE / "protos")) for p in (SOURCE / "protos").rglob("*.proto"))
    plugin = subprocess.run(["which", "grpc_python_plugin"], capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run(["protoc", f"-I{SOURCE / 'protos'}", f"--python_out={folder}", f"--grpc_out={folder}",
                    f"--plugin=protoc-gen-grpc={plugin}"] + protos, check=True)
    sys.path.insert(0, folder)
    return folder


def proto(name):
    """The generated module lastro.v1.<name>, such as "ask_pb2" or "ask_pb2_grpc"."""
    _generated_folder()
    return importlib.import_module(f"lastro.v1.{name}")


def wait_for_job(ingest_stub, job_id, timeout_s=1200):
    """The job when it has ended."""
    ingest = proto("ingest_pb2")
    deadline = time.time() + timeout_s
    while time.time() < deadline:
        job = ingest_stub.GetJob(ingest.GetJobRequest(job_id=job_id), timeout=30)
        if job.state not in (ingest.Job.QUEUED, ingest.Job.RUNNING):
            return job
        time.sleep(0.1)
    raise AssertionError(f"job {job_id} has not ended after {timeout_s} s")


def source_bytes(document_uri, source_kind, read_extracted, root=SAMPLE):
    """The bytes that citations of a document point into. `read_extracted(uri)` gives the text of extracted sources."""
    if source_kind in ("SOURCE_KIND_EXTRACTED_TEXT", 2):
        return read_extracted(document_uri)
    return (root / document_uri).read_bytes()


def check_citation(test, citation, answer_text, source):
    """Asserts that a citation (JSON mapping) is true to the byte, and that its answer range is one of `answer_text`."""
    begin, end = (int(citation["source_range"][k]) for k in ("begin", "end"))
    test.assertLess(begin, end)
    test.assertLessEqual(end, len(source))
    encoding = citation["encoding"] or "UTF-8"
    test.assertEqual(source[begin:end].decode(encoding), citation["quote"])
    if encoding == "UTF-8":
        test.assertEqual(source[begin:end], citation["quote"].encode())
    answer = answer_text.encode()
    answer_begin, answer_end = (int(citation["answer_range"][k]) for k in ("begin", "end"))
    test.assertLess(answer_begin, answer_end)
    test.assertLessEqual(answer_end, len(answer))
    answer[answer_begin:answer_end].decode()  # whole characters
