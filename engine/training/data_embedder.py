"""Builds the embedder's vocabulary, initial vectors and training sets.

    python data_embedder.py --data ../shared/data --out work/embedder [--wordnet FOLDER]

FOLDER (optional, widens the lexicon) holds OpenWordnet-PT's wn-data-por.tab (repository omwn/omw-data, wns/por) and
WordNet 3.0's index.noun, index.verb, index.adj, index.adv (Debian package wordnet-base).
"""
import argparse
import collections
import json
import random
import re
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from transformers import BertTokenizerFast

import common
import lexicon
from bert_model import teacher_folder, load_state

NEW_WORDS, NEW_SUFFIXES = 10000, 500


def norm_words(folder):
    """Splits text into the words that the WordPiece of `folder` cuts: lower case, without accents."""
    bt = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))

    def f(text):
        return [w for w, _ in bt.pre_tokenizer.pre_tokenize_str(bt.normalizer.normalize_str(text))]
    return f


def translations(data):
    """(English, Portuguese) texts for training, then those held out; outside held-out titles, sentence by sentence where both split alike."""
    pairs, dev_pairs, seen = [], [], set()
    for r in common.read_jsonl(data / "pairs" / "python_docs_en_pt.jsonl.zst"):
        if r["en"] in seen or len(r["en"]) < 12 or r["en"].strip() == r["pt"].strip():
            continue
        seen.add(r["en"])
        if int(common.key_hash(r["en"]), 16) % 25 == 0:
            if len(r["en"]) > 40:
                dev_pairs.append((r["en"], r["pt"]))
        else:
            pairs.append((r["en"], r["pt"]))
    by_id = collections.defaultdict(dict)
    for r in common.read_jsonl(data / "qa" / "pira.jsonl.zst"):
        if not common.is_dev(r) and not r.get("paraphrase"):
            by_id[r["id"]][r["lang"]] = r
    for d in by_id.values():
        if len(d) == 2:
            pairs.append((d["en"]["question"], d["pt"]["question"]))
            a, b = common.sentences(d["en"]["context"]), common.sentences(d["pt"]["context"])
            if len(a) == len(b):
                pairs += list(zip(a, b))
    return pairs, dev_pairs


def bilingual_heading(r):
    """(English, Portuguese) of a translated section's heading, or None."""
    h = r["headings"][-1] if r["headings"] else ""
    if r.get("heading_en") and h and h.lower() != r["heading_en"].lower() and len(h) < 90:
        return r["heading_en"].replace("-", " ").strip(), h
    return None


def aligned_pieces(en, pt, r):
    """Sentence-aligned pieces of a paragraph pair, where both sides split alike; else the pair itself."""
    a, b = common.sentences(en), common.sentences(pt)
    if len(a) == len(b) > 1 and r.random() < 0.75 and all(0.55 < (len(y) + 8) / (len(x) + 8) < 1.9 for x, y in zip(a, b)):
        return list(zip(a, b))
    return [(en, pt)] if len(en) < 700 and 0.5 < (len(pt) + 8) / (len(en) + 8) < 2 else []


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--data", required=True, type=Path)
    ap.add_argument("--out", required=True, type=Path)
    ap.add_argument("--wordnet", type=Path)
    ap.add_argument("--seed", type=int, default=11)
    args = ap.parse_args()
    rnd = random.Random(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    split = norm_words(teacher_folder())

    # Sources -------------------------------------------------------------------------------------------------------
    pairs, dev_pairs = translations(args.data)
    qa = collections.defaultdict(list)
    for r in common.read_folder(args.data / "qa"):
        if r["kind"] != "unanswerable" and not common.is_dev(r):
            qa[r["lang"], r["source"]].append(r)
    text_pt, heads, headed = [], set(), []
    for r in common.read_folder(args.data / "text" / "pt"):
        if common.is_dev(r):
            continue
        text_pt.append(r)
        h = r["headings"][-1] if r["headings"] else ""
        if bilingual_heading(r):
            heads.add(bilingual_heading(r))
        if h and len(r["text"]) > 150 and "novels" not in r["source"] and len(h) > 8:
            headed.append((r["title"] + ": " + h, r["text"]))
        elif not h and len(r["text"]) > 150 and "novels" not in r["source"] and r["sec"] == 0:
            headed.append((r["title"], r["text"]))
    print("pairs", len(pairs), "dev", len(dev_pairs), "headings", len(heads), "headed", len(headed), flush=True)

    # Lexicon -------------------------------------------------------------------------------------------------------
    bitext = [(split(p), split(e)) for e, p in pairs if len(p) < 500] + [(split(p), split(e)) for e, p in heads]
    pt_en, en_pt, count_pt = lexicon.model1([(f[:80], e[:80]) for f, e in bitext])
    en_counts = collections.Counter()
    en_sents = []
    for path, n in (("wikipedia_en_2015", 26000), ("openstax_business", 2000), ("openstax_political_science", 1000), ("18f_handbook", 2500),
                    ("owasp_cheatsheets", 1000), ("aws_s3_guide", 1500), ("kubernetes_docs_2017", 1000), ("world_factbook", 500)):
        recs = []
        for i, r in enumerate(common.read_jsonl(args.data / "text" / "en" / f"{path}.jsonl.zst")):
            if i % (7 if "wiki" in path else 1) == 0 and not common.is_dev(r):
                recs.append(r)
        rnd.shuffle(recs)
        for r in recs[:n]:
            s = [x for x in common.sentences(r["text"]) if 40 < len(x) < 300]
            if s:
                i = rnd.randrange(len(s))
                en_sents.append(" ".join(s[i:i + rnd.choice([1, 1, 2])]))
    for s in en_sents:
        en_counts.update(split(s))
    wn = {}
    if args.wordnet:
        one = lambda s: " ".join(split(s))
        wn = lexicon.wordnet(args.wordnet / "wn-data-por.tab", args.wordnet, one, en_counts)
    print("lexicon: model 1", len(pt_en), len(en_pt), "wordnet", len(wn), {w: pt_en.get(w, [])[:2] for w in ("arquivo", "configuracao", "para", "nao")}, flush=True)

    # Vocabulary ----------------------------------------------------------------------------------------------------
    base = BertTokenizerFast(vocab_file=str(teacher_folder() / "vocab.txt"), do_lower_case=True)
    vocab = dict(base.get_vocab())
    count = collections.Counter()
    for r in text_pt:
        w = 0.1 if "novels" in r["source"] else 1.0
        if w == 1.0 or rnd.random() < 0.3:
            for x in split(r["text"][:3000]):
                if x.isalpha():
                    count[x] += w
    for (lang, _), rs in qa.items():
        if lang == "pt":
            for c in {r["context"] for r in rs} | {r["question"] for r in rs}:
                for x in split(c):
                    if x.isalpha():
                        count[x] += 8.0
    for w in wn:  # common lemmas of general language that technical text seldom uses
        if " " not in w and w.isalpha() and count[w] > 0:
            count[w] *= 2
    en_words = collections.Counter(w for s in en_sents for w in split(s) if w.isalpha() and w not in vocab)
    prefix_en = collections.Counter()
    for w, n in en_words.items():
        for k in range(4, len(w) + 1):
            prefix_en[w[:k]] += n
    ranked = [w for w, n in count.most_common() if w not in vocab and 3 <= len(w) <= 24 and n >= 6 and w.isascii() and prefix_en[w] * 6 < n]
    added = ranked[:NEW_WORDS]
    full = {**vocab, **{w: 0 for w in added}}
    suffix = collections.Counter()
    for w, n in count.items():
        if w not in full and n >= 2:
            for k in range(len(w) - 1, 2, -1):
                if w[:k] in full:
                    suffix["##" + w[k:]] += n
                    break
    added += [s for s, _ in suffix.most_common(4000) if s not in full and 4 <= len(s) <= 9][:NEW_SUFFIXES]
    words = sorted(vocab, key=vocab.get) + added
    (args.out / "tokenizer").mkdir(exist_ok=True)
    common.write_atomic(args.out / "tokenizer" / "vocab.txt", "\n".join(words) + "\n")
    # The published tokenizer.json with the longer vocabulary; truncation and padding are the caller's matter.
    spec = json.loads((teacher_folder() / "tokenizer.json").read_text())
    spec["truncation"] = spec["padding"] = None
    spec["model"]["vocab"] = {w: i for i, w in enumerate(words)}
    common.write_atomic(args.out / "tokenizer" / "tokenizer.json", json.dumps(spec, ensure_ascii=False))
    cfg = json.loads((teacher_folder() / "tokenizer_config.json").read_text())
    cfg.pop("name_or_path", None)
    common.write_json(args.out / "tokenizer" / "tokenizer_config.json", cfg)
    new, old = Tokenizer.from_file(str(args.out / "tokenizer" / "tokenizer.json")), base.backend_tokenizer
    probe = [r["text"][:800] for r in rnd.sample(text_pt, 400) if "novels" not in r["source"]]
    ratio = lambda t, xs: sum(len(t.encode(x).ids) for x in xs)
    print("added", len(added), added[:8], added[-5:], "pt tokens new/old", ratio(new, probe) / ratio(old, probe),
          "en", ratio(new, en_sents[:1000]) / ratio(old, en_sents[:1000]), flush=True)

    # Initial vectors: the translations' vectors, then a relative's, then the mean of the old pieces. ----------------
    emb = load_state(teacher_folder())["embeddings.word_embeddings.weight"].numpy()

    def pieces(w):
        ids = old.encode(w, add_special_tokens=False).ids
        return emb[ids].mean(0)
    known = {}
    for w in set(pt_en) | {w for w in wn if " " not in w}:
        tr = pt_en.get(w, []) if count_pt[w] >= 3 else []
        tr = tr or [(e, s) for e, s in wn.get(w, [])] or pt_en.get(w, [])
        if tr:
            z = sum(s for _, s in tr)
            known[w] = sum(s / z * pieces(e) for e, s in tr)
    by_prefix = collections.defaultdict(list)
    for w in known:
        by_prefix[w[:4]].append(w)
    rows, how = [], collections.Counter()
    for w in added:
        v = None
        if w in known:
            v, k = 0.8 * known[w] + 0.2 * pieces(w), "lexicon"
        elif not w.startswith("##"):
            def common_prefix(x):
                n = 0
                while n < min(len(x), len(w)) and x[n] == w[n]:
                    n += 1
                return n
            near = sorted(((common_prefix(x), x) for x in by_prefix.get(w[:4], [])), reverse=True)[:1]
            if near and near[0][0] >= max(4, 0.65 * len(w), 0.6 * len(near[0][1])):
                v, k = 0.8 * known[near[0][1]] + 0.2 * pieces(w), "relative"
        if v is None:
            v, k = pieces(w[2:] if w.startswith("##") else w), "pieces"
        how[k] += 1
        rows.append(v)
    np.save(args.out / "new_rows.npy", np.asarray(rows, np.float32))
    print("initial vectors", dict(how), flush=True)

    # Training sets -------------------------------------------------------------------------------------------------
    bi = [p for e, t in pairs for p in aligned_pieces(e, t, rnd)]
    lex = [(e, pt) for pt, ens in wn.items() for e, _ in ens[:1] if len(pt) > 2]
    head = sorted(heads)

    glosses = lexicon.glosser(en_pt, wn)

    def gloss(s):
        """English text with words replaced by Portuguese translations: pseudo-Portuguese with a known meaning."""
        share = rnd.choice([0.4, 0.7, 0.9, 1.0])
        out, hit = [], 0
        for w in re.findall(r"\w+|[^\w\s]", s):
            cand = glosses(w)
            if cand and rnd.random() < share:
                out.append(lexicon.draw(cand, rnd))
                hit += 1
            else:
                out.append(w)
        return " ".join(out) if hit >= 3 else None
    en_items = en_sents[:]
    for (lang, source), rs in sorted(qa.items()):
        if lang == "en":
            rnd.shuffle(rs)
            en_items += [r["question"] for r in rs[:1200]]
            en_items += sorted({" ".join(common.sentences(r["context"])[:4])[:500] for r in rs[:700]})
    pseudo = [(s, g) for s in en_items for g in [gloss(s)] if g]
    qp = []
    for (lang, source), rs in sorted(qa.items()):
        if lang == "pt":
            qp += [(r["question"], r["context"]) for r in rs]
    for r in common.read_jsonl(args.data / "pairs" / "faq_headings_pt.jsonl.zst"):
        if not common.is_dev(r):
            qp.append((r["question"], r["passage"]))
    rnd.shuffle(headed)
    sets = {"bi": bi, "head": head, "lex": lex, "pseudo": pseudo, "en": [(s, s) for s in en_items], "qp": qp, "headed": headed[:20000],
            "dev_bi": dev_pairs[:1000]}
    for k, v in sets.items():
        if k != "dev_bi":
            rnd.shuffle(v)
        print(k, len(v), v[:2], flush=True)
    (args.out / "sets.json").write_text(json.dumps(sets, ensure_ascii=False))


if __name__ == "__main__":
    main()
