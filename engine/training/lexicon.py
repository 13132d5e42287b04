"""A Portuguese -> English word lexicon: IBM Model 1 over aligned text, backed by WordNet synsets where given."""
import collections
import math

import numpy as np
from scipy import sparse


def model1(pairs, iterations=6, min_count=2):
    """pairs: [(pt words, en words)] -> ({pt: [(en, p), ...]}, {en: [(pt, p), ...]}), best five each."""
    count_f, count_e = collections.Counter(), collections.Counter()
    for f, e in pairs:
        count_f.update(set(f))
        count_e.update(set(e))
    fs = {w: i for i, w in enumerate(w for w, n in count_f.items() if n >= min_count)}
    es = {w: i for i, w in enumerate(w for w, n in count_e.items() if n >= min_count)}
    rows, cols, sent = [], [], []
    for s, (f, e) in enumerate(pairs):
        fi, ei = sorted({fs[w] for w in f if w in fs}), sorted({es[w] for w in e if w in es})
        for i in fi:
            rows += [i] * len(ei)
            cols += ei
            sent += [s * 400 + min(k, 399) for k in [fi.index(i)] * len(ei)]
    rows, cols = np.array(rows, np.int64), np.array(cols, np.int64)
    token = np.unique(np.array(sent, np.int64), return_inverse=True)[1]  # one group per pt word and pair
    token_e = np.unique(np.array(sent, np.int64) // 400 * 100000 + cols, return_inverse=True)[1]
    cell, inverse = np.unique(rows * len(es) + cols, return_inverse=True)
    cf, ce = cell // len(es), cell % len(es)

    def em(group, given, size):  # p(other | given), normalised over `given`
        t = np.ones(len(cell))
        for _ in range(iterations):
            x = t[inverse]
            x = x / np.bincount(group, x)[group]
            c = np.bincount(inverse, x, len(cell))
            t = c / np.bincount(given, c, size)[given]
        return t

    p_f_given_e, p_e_given_f = em(token, ce, len(es)), em(token_e, cf, len(fs))
    score = np.sqrt(p_f_given_e * p_e_given_f)
    names_f, names_e = list(fs), list(es)

    def best(by, other, by_names, other_names):
        m = sparse.csr_matrix((score, (by, other)), shape=(len(by_names), len(other_names)))
        out = {}
        for i, w in enumerate(by_names):
            lo, hi = m.indptr[i], m.indptr[i + 1]
            top = np.argsort(-m.data[lo:hi])[:5]
            keep = [(other_names[m.indices[lo + k]], float(m.data[lo + k])) for k in top if m.data[lo + k] > 0.08]
            if keep:
                out[w] = keep
        return out

    return best(cf, ce, names_f, names_e), best(ce, cf, names_e, names_f), count_f


def wordnet(por_tab, english, norm, en_counts):
    """{pt lemma: [(en lemma, weight)]} from OpenWordnet-PT's table and the database folder of WordNet 3.0.

    An English lemma weighs more the more frequent it is and the earlier the synset stands among its senses.
    """
    synset = collections.defaultdict(list)  # "00001740-n" -> [(lemma, rank among the lemma's senses)]
    for pos, letter in (("noun", "n"), ("verb", "v"), ("adj", "a"), ("adv", "r")):
        with open(english / f"index.{pos}", encoding="latin-1") as f:
            for line in f:
                if line.startswith(" "):
                    continue
                p = line.split()
                for rank, offset in enumerate(p[6 + int(p[3]):]):
                    synset[f"{offset}-{letter}"].append((p[0].replace("_", " "), rank))
    lex = collections.defaultdict(collections.Counter)
    with open(por_tab, encoding="utf-8") as f:
        for line in f:
            p = line.rstrip("\n").split("\t")
            if len(p) >= 3 and p[1].split(":")[-1] == "lemma":
                for en, rank in synset.get(p[0].replace("-s", "-a"), []):
                    lex[norm(p[2].replace("_", " "))][en] += math.log(2 + min(en_counts.get(w, 0) for w in en.split())) / (1 + rank)
    return {pt: c.most_common(4) for pt, c in lex.items()}


def glosser(en_pt, wn):
    """English word -> its Portuguese translations [(pt, weight)], from Model 1's table, else from `wn` (wordnet()'s result, may be empty)."""
    back = collections.defaultdict(collections.Counter)
    for pt, ens in wn.items():
        for en, w in ens:
            if " " not in en and " " not in pt:
                back[en][pt] += w

    def translate(word):
        key = word.lower()
        found = [c for c in en_pt.get(key) or [] if c[1] > 0.15] or back.get(key, collections.Counter()).most_common(3)
        if not found and key.endswith("s"):
            found = back.get(key[:-1], collections.Counter()).most_common(3)
        return found
    return translate


def draw(translations, rnd):
    return rnd.choices([t for t, _ in translations], [w for _, w in translations])[0]
