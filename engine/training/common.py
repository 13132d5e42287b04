"""Shared helpers: reading the data folder, splitting sentences, the title-wise dev split."""
import hashlib
import io
import json
import os
import random
import re
from pathlib import Path

import zstandard

HERE = Path(__file__).resolve().parent
DEV_HASHES = HERE / "dev_titles.txt"
DEV_FRACTION = 0.05


def read_jsonl(path):
    """Yields the records of a zstd-compressed JSON-lines file (128 MiB window)."""
    dctx = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    with open(path, "rb") as f:
        for line in io.TextIOWrapper(dctx.stream_reader(f), encoding="utf-8"):
            yield json.loads(line)


def read_folder(folder):
    for path in sorted(Path(folder).glob("*.jsonl.zst")):
        yield from read_jsonl(path)


def split_key(record):
    """What the split is made over: the title, or the id / passage where a source has no title."""
    title = (record.get("title") or "").strip()
    if not title:
        title = record.get("id") or record.get("sid") or record.get("context", "")[:200]
    title = title.split(" - ")[0] if record.get("source") == "selqa" else title
    return re.sub(r"[\W_]+", " ", title.lower()).strip()


def key_hash(key):
    return hashlib.sha256(("lastro-dev:" + key).encode()).hexdigest()[:16]


_dev = None


def is_dev(record):
    global _dev
    if _dev is None:
        _dev = set(DEV_HASHES.read_text().split())
    return key_hash(split_key(record)) in _dev


_ABBREV = re.compile(
    r"(?:\b(?:[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|Sr|Sra|Jr|vs|etc|e\.g|i\.e|cf|al|approx|fig|eq|no|vol|ed|pp?|art|inc|ltd|co|corp"
    r"|U\.S|U\.K|Gen|Col|Lt|Sgt|Capt|Gov|Sen|Rep|Rev|ex|av|pág|núm|dra?|exmo|ca))\.$", re.I)
_BOUNDARY = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+(?=[\"'“‘«(\[¿]*[A-ZÀ-ÞÉÍÓÚ0-9`])|\n+")


def sentences(text):
    """Splits text into verbatim sentences (substrings, stripped), never across a line break."""
    out, start = [], 0
    for m in _BOUNDARY.finditer(text):
        if m.group().find("\n") < 0 and _ABBREV.search(text[start:m.start()]):
            continue
        piece = text[start:m.end()].strip()
        if piece:
            out.append(piece)
        start = m.end()
    piece = text[start:].strip()
    if piece:
        out.append(piece)
    return out


def write_atomic(path, data):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(path.name + ".tmp")
    tmp.write_bytes(data if isinstance(data, bytes) else data.encode())
    os.replace(tmp, path)


def write_json(path, obj):
    write_atomic(path, json.dumps(obj, indent=2, ensure_ascii=False) + "\n")


def rng(seed):
    return random.Random(seed)
