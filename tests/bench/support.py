"""What the scripts of this folder share: the programs of tests/e2e (with the release build unless LASTRO_BUILD_DIR says
another), percentiles, and servers that stream generated tokens: lastrod and llama.cpp's llama-server."""

import http.client
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import threading
import time

import grpc
import grpc.experimental

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("LASTRO_SOURCE_DIR", str(ROOT))
os.environ.setdefault("LASTRO_BUILD_DIR", str(ROOT / "build/release"))
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests/e2e"))
from programs import LASTRO, SAMPLE, SOURCE, Daemon, proto, wait_for_job  # noqa: E402,F401

TIMEOUT_S = 3600
TOKEN_IDS = range(512, 4096)  # ordinary tokens of any model
BACK_OFF_S = 0.1


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def random_prompt(seed, tokens):
    """Token ids; those of two seeds differ from the first few on."""
    return random.Random(seed).choices(TOKEN_IDS, k=tokens)


def quantized_decoder(source, folder):
    """`source` if it is a GGUF file, else a bf16 GGUF file of it in `folder`, for both servers to read."""
    if pathlib.Path(source).is_file():
        return pathlib.Path(source)
    file = pathlib.Path(folder) / "decoder.gguf"
    subprocess.run([LASTRO, "quantize", source, file, "--type", "bf16"], check=True, stdout=subprocess.DEVNULL)
    return file


class Reply:
    """One streamed text: when it was asked for and when its messages came (seconds), and what the server said of it."""

    def __init__(self):
        self.asked = time.perf_counter()
        self.times = []
        self.tokens = 0  # generated
        self.refused = 0
        self.prompt_s = 0.0  # computing the prompt, says the server
        self.stop = False  # set by another thread: no more messages are wanted

    def gaps(self):
        """(end, length) of the pauses between messages."""
        return [(b, b - a) for a, b in zip(self.times, self.times[1:])]


class LastroServer:
    """`lastrod` with the decoder of `model`."""

    name = "Lastro"

    def __init__(self, model, threads, options=(), eos_ids=(1,)):
        self.pb = proto("generation_pb2")
        self.eos_ids = eos_ids
        self.daemon = Daemon("--roles=generation", "--decoder", model, "--threads", threads, "--log-level=warning",
                             *options)
        self.local = threading.local()

    def _stub(self):
        """A connection a thread, read by the thread itself."""
        if not hasattr(self.local, "stub"):
            self.local.channel = grpc.insecure_channel(self.daemon.address, [
                (grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1), ("grpc.use_local_subchannel_pool", 1)])
            self.local.stub = proto("generation_pb2_grpc").GenerationServiceStub(self.local.channel)
        return self.local.stub

    def stream(self, prompt, new_tokens, reply):
        """Generates `new_tokens` tokens (greedily, with a bias against an early end) into `reply`."""
        request = self.pb.GenerateRequest(prompt=self.pb.Prompt(tokens=self.pb.TokenIds(ids=prompt)),
                                          max_new_tokens=new_tokens)
        for eos in self.eos_ids:
            request.sampling.logit_bias[eos] = -100
        while True:
            call = self._stub().GenerateStream(request, timeout=TIMEOUT_S)
            try:
                for event in call:
                    if event.HasField("token"):
                        reply.times.append(time.perf_counter())
                    else:
                        reply.tokens = event.result.usage.completion_tokens
                        reply.prompt_s = sum(d.duration_ms for d in event.result.durations
                                             if d.stage == "prefill") / 1000
                    if reply.stop:
                        call.cancel()
                return
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.CANCELLED and reply.stop:
                    return
                if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
            reply.refused += 1
            time.sleep(BACK_OFF_S)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.daemon.__exit__()


class LlamaServer:
    """llama.cpp's server with room for `streams` texts of `context` tokens each."""

    name = "llama.cpp"

    def __init__(self, program, model, threads, streams, context, options=()):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        context = -(-context // 256) * 256
        self.process = subprocess.Popen(
            [str(p) for p in (program, "-m", model, "-c", context * streams, "-np", streams, "-t", threads,
                              "--no-webui", "--port", self.port, *options)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not self._healthy():
            if self.process.poll() is not None:
                raise SystemExit(f"{program} stopped before it was ready")
            time.sleep(0.1)

    def _healthy(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def stream(self, prompt, new_tokens, reply):
        body = {"prompt": prompt, "n_predict": new_tokens, "stream": True, "temperature": 0, "ignore_eos": True,
                "cache_prompt": False}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        connection.request("POST", "/completion", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise SystemExit(f"llama-server: {response.status} {response.read()[:500]}")
        for line in response:
            if not line.startswith(b"data: "):
                continue
            if b'"stop":true' not in line:
                reply.times.append(time.perf_counter())
            else:
                result = json.loads(line[6:])
                reply.tokens = result["tokens_predicted"]
                reply.prompt_s = result["timings"]["prompt_ms"] / 1000
            if reply.stop:
                break
        connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.terminate()
        self.process.wait()


def make_servers(args, model, streams, context):
    """A function a side: llama.cpp's (with --llama-server), then Lastro's; each starts a server."""
    sides = [lambda: LastroServer(model, args.threads, args.lastrod_options.split(), args.eos)]
    if args.llama_server is not None:
        sides.insert(0, lambda: LlamaServer(args.llama_server, model, args.threads, streams, context,
                                            args.llama_options.split()))
    return sides


def add_server_arguments(parser):
    parser.add_argument("--llama-server", type=pathlib.Path, help="program; without it Lastro is measured alone")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--eos", type=int, nargs="*", default=[1], help="ids that Lastro is biased against")
    parser.add_argument("--lastrod-options", default="", help='more options, such as "--kv-memory 4GiB"')
    parser.add_argument("--llama-options", default="", help='more options, such as "-fa -ub 256"')


def table_line(name, *values, digits=1):
    """A row of one figure a side, with the ratio of the second to the first."""
    cells = [f"{v:.{digits}f}" for v in values]
    if len(values) == 2:
        cells.append(f"{values[1] / values[0]:.2f}" if values[0] else "-")
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def table_head(name, sides):
    names = [name] + (["llama.cpp", "Lastro", "ratio"] if sides == 2 else ["Lastro"])
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names), flush=True)
