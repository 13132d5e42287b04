"""Exports the tokenizer goldens: tokenizer files of several families, 10,000 difficult texts, and what the reference
library makes of them. Deterministic for one version of the library.

    python tests/golden/export_tokenizers.py          (from the repository's root; exported with tokenizers 0.20.3)

Needs nothing but the `tokenizers` package. Reads tests/golden/tokenizers/minilm.json.gz, the tokenizer of
sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0); trains the others on text it composes itself. Writes to
tests/golden/tokenizers:

  texts.bin.gz         10,000 records: u32 length, UTF-8 bytes
  NAME.json.gz         a tokenizer.json
  NAME.expected.gz     columns, all little-endian: u32 number of texts; then, over all texts in order,
                       u16 tokens per text; u16 low and u8 high part of each token's id;
                       i16 begin of each token less the end of the one before it, in bytes of the text; u16 its length;
                       u32 CRC-32 of each text's decoding, as UTF-8

Texts with an even index are encoded without special tokens, and specials spelled in them stay text; they are decoded
with special tokens skipped. Texts with an odd index get special tokens, spelled ones are recognised, and none is skipped.
Every text is at most 2,000 bytes long.
"""
import gzip
import json
import random
import struct
import unicodedata
import zlib
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "tests" / "golden" / "tokenizers"
TEXTS = 10_000

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])

WORDS = {
    "en": "the of and to in is that it was for on are as with his they be at one have this from or had by word but not "
          "what all were we when your can said there use each which she do how their if will up other about out many then "
          "them these so some her would make like him into time has look two more write go see number no way could people "
          "my than first water been call who oil its now find long down day did get come made may part document evidence "
          "citation retrieval answer question embedding tokenizer warehouse maintenance agreement liability unprecedented "
          "internationalisation counterrevolutionaries photosynthesis".split(),
    "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à seu sua "
          "ou ser quando muito há nos já está eu também só pelo pela até isso ela entre era depois sem mesmo aos ter seus "
          "quem nas me esse eles estão você tinha foram essa num nem suas meu às minha têm numa pelos elas havia seja qual "
          "será nós tenho lhe deles essas esses pelas este fosse dele documento resposta pergunta citação informação ações "
          "constituição manutenção coração avó avô pôde maçã órgão lingüiça pinguim".split(),
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er hat "
          "dass sie nach wird bei Straße größer Übung Äpfel Donaudampfschifffahrtsgesellschaft STRASSE ẞ".split(),
    "fr": "le la les des est être été où l’été qu’il aujourd'hui c'est déjà œuvre Ça naïve garçon façon".split(),
    "ru": "и в не на я быть он с что а по это она этот к но они мы весь который из у то за свой Москва ёлка объект".split(),
    "el": "και το να του η της με που την από για είναι στο ένα οι ΣΟΦΟΣ σοφός Ὀδυσσεύς ἄνθρωπος".split(),
    "vi": "và của là có được Việt Nam tiếng người không một những trong đã với cho này để khi Nguyễn thế giới".split(),
    "tr": "İstanbul Iğdır ılık ışık şehir çocuk güzel öğrenci".split(),
    "zh": "的 一 是 不 了 人 我 在 有 他 这 中国 大学 文档 检索 问题 答案 人工智能 机器学习 北京 上海 繁體字 臺灣 龍 鳳凰".split(),
    "ja": "これ は 日本語 です テスト カタカナ ひらがな 漢字 東京 データ ｶﾀｶﾅ が ぱ ー 々 〜 「括弧」 ㍿ ㌔".split(),
    "ko": "한국어 문서 검색 질문 대답 서울 안녕하세요 데이터 베이스 ㄱ ㅏ 값 닭".split(),
    "ar": "في من على أن إلى هذا التي ما لا السلام عليكم الوثيقة السؤال الجواب ٱلْعَرَبِيَّةُ كِتَابٌ ١٢٣ ٪ ؟ ،".split(),
    "he": "של את על לא זה שלום עולם בְּרֵאשִׁית מסמך שאלה תשובה".split(),
    "hi": "के में की है यह और से हैं को पर इस होता कि जो कर मे गया करने किया लिये अपने ने नमस्ते दस्तावेज़ प्रश्न क्षत्रिय १२३".split(),
    "th": "สวัสดี ภาษาไทย เอกสาร คำถาม คำตอบ ที่ และ ของ ไม่ มี การ น้ำ ๑๒๓".split(),
    "other": "አማርኛ ქართული հայերեն বাংলা தமிழ் తెలుగు ಕನ್ನಡ മലയാളം ພາສາລາວ မြန်မာ ខ្មែរ བོད་ཡིག ᏣᎳᎩ ⵜⴰⵎⴰⵣⵉⵖⵜ 𐍈𐍉𐍊 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ﷺ ﬁ ﬃ Ǆ ŉ".split(),
}
EMOJI = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👨🏿‍🚀", "🇧🇷", "🇵🇹🇩🇪", "❤️", "☺︎", "🧑🏻‍❤️‍💋‍🧑🏿", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🫠", "⚠️", "©", "™", "🀄"]
CODE = ["def f(x):\n    return x ** 2\n", "if (a != b && c->d) { i++; }", "\tfor (int i = 0; i < n; ++i) {\r\n", "#include <vector>",
        "SELECT * FROM t WHERE id=42;", "x = [1, 2.5e-10, 0xFF, 1_000_000]", "std::unordered_map<K,V>&&", "<div class=\"a\">&nbsp;</div>",
        "{\"key\": [null, true, \"\\u00e9\"]}", "$ sudo rm -rf /tmp/*  # no", "camelCaseWord snake_case_word HTTPServer2XMLParser", "///// ----- ===== .....",
        "λx.x ∀ε>0 ∃δ: |x−y|≤δ ⇒ √2≈1.41421356"]
URLS = ["https://example.org/a/b?q=1&r=%20x#frag", "ftp://user:pw@host:21/", "mailto:someone+tag@mail.example.co.uk",
        "www.instituição.gov.br/página", "10.0.0.1:8080", "C:\\Users\\João\\Área de Trabalho", "doi:10.1000/182"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n\n", "\u00a0", "\u2003", "\u3000", "\u200b", "\u2028", "\u0085", "\x0b", " " * 17, "\ufeff", "\u180e",
          "\u202f", "\u1680"]
CONTROL = ["\x00", "\x01", "\x07", "\x1b[31m", "\x7f", "\u200d", "\u200e", "\u202e", "\u2066", "\ufffd", "\ue000", "\ufffe", "\U000f0000",
           "\U0010ffff", "\u00ad", "\u061c"]
MARKS = ["\u0301", "\u0323", "\u0302", "\u0308", "\u0327", "\u030a", "\u0345", "\u0f71", "\u05b0", "\u3099", "\u20dd", "\u0e33", "\u1ab0", "\u0334"]
CONTRACTIONS = ["I'm", "I'M", "we'Ll", "DON'T", "it's", "IT'S", "they’re", "you've", "'tis", "o'clock", "'ſ", "he'd'VE", "'Re", "rock'n'roll"]
SPECIALS = ["<|endoftext|>", "<|begin_of_text|>", "<|im_start|>", "[CLS]", "[SEP]", "[MASK]", "<mask>", "<s>", "</s>", "<unk>", "[unk]", "##ing", "<0x41>",
            "TOK", "<left>", "<right>", "Word", "ÉTÉ", "▁", "Ġ", "<|im_start|"]
PUNCTUATION = list(".,;:!?…—–-()[]{}\"'«»“”‘’/\\@#$%^&*_+=~`|<>¿¡§¶·•‰€£¥°²³½¾№★→") + ["...", "?!", "!!!", "--"]


def sweep():
    """Characters whose class may matter: all but most letters and unassigned ones."""
    for code in range(0x20, 0x1FFFF):
        category = unicodedata.category(chr(code))
        if category in ("Cn", "Cs", "Co") or (category == "Lo" and code % 53) or (category in ("Ll", "Lu") and code > 0x24F and code % 3):
            continue
        if category == "So" and code % 5:
            continue
        yield chr(code)


class Composer:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def word(self):
        r = self.random
        language = r.choice(("en", "en", "en", "pt", "pt") + tuple(WORDS))
        word = r.choice(WORDS[language])
        kind = r.random()
        return word.upper() if kind < 0.05 else word.capitalize() if kind < 0.2 else word

    def sentence(self, language):
        r = self.random
        words = [r.choice(WORDS[language]) for _ in range(r.randint(2, 9))]
        separator = "" if language in ("zh", "ja", "th") else " "
        return separator.join(words).capitalize() + r.choice([".", "?", "!", "。", "", ","])

    def number(self):
        r = self.random
        return r.choice([str(r.randrange(10 ** r.randint(1, 12))), f"{r.random() * 1000:.3f}", f"{r.randrange(2000)}-{r.randrange(13):02}",
                         "٣٤٥", "१२३४", "Ⅷ", "①②", "½", "10²", f"{r.randrange(10**6):,}", "+55 (11) 99999-0000"])

    def fragment(self):
        r = self.random
        kind = r.randrange(16)
        if kind < 4:
            return self.word()
        return (lambda: r.choice(CODE), lambda: r.choice(URLS), lambda: r.choice(EMOJI), lambda: r.choice(SPACES) * r.randint(1, 3),
                lambda: r.choice(CONTROL), lambda: self.word() + "".join(r.choice(MARKS) for _ in range(r.randint(1, 3))),
                self.number, lambda: r.choice(PUNCTUATION), lambda: r.choice(CONTRACTIONS), lambda: r.choice(SPECIALS),
                lambda: unicodedata.normalize("NFD", self.word()), lambda: self.word() + self.word())[kind - 4]()

    def mixed(self):
        r = self.random
        return "".join(self.fragment() + r.choice(["", " ", " ", " ", "  "]) for _ in range(r.randint(1, 8)))

    def text(self, index):
        r = self.random
        kind = index % 20
        if kind < 8:
            return self.sentence(r.choice(["en", "pt", "pt", "en"] + list(WORDS)))
        if kind < 17:
            return self.mixed()
        if kind == 17:
            return r.choice(["", " ", "\n", "a", ".", "é", "中", "😀", "\u0301", "\x00", "  ", "\t\t", "<s>", "'s", "7", "\ufeff", "à"]) * r.randint(0, 3)
        if kind == 18:
            return r.choice(SPACES + MARKS + PUNCTUATION + EMOJI + ["a", "ab", "0", "é", "가", "x" * 37]) * r.randint(20, 120)
        return r.choice(SPECIALS) + r.choice(["", " ", "x", "  "]) + r.choice(SPECIALS) + r.choice(["", " ", "\n"]) + self.mixed()


def compose_texts():
    composer = Composer(2024)
    characters = list(sweep())
    texts = []
    for start in range(0, len(characters), 12):
        # Between letters each character shows whether it splits, joins, disappears or changes.
        texts.append("".join("x" + c + ("y" if i % 2 else "y ") for i, c in enumerate(characters[start:start + 12])))
    while len(texts) < TEXTS:
        texts.append(composer.text(len(texts)))
    assert len(texts) == TEXTS, len(texts)
    return [t if len(t.encode()) <= 2000 else t[:400] for t in texts]


def training_corpus():
    composer = Composer(7)
    for _ in range(20_000):
        yield composer.sentence(composer.random.choice(["en", "pt"] + list(WORDS)))
        yield composer.mixed()


def train_bpe(tokenizer, size, specials, alphabet=True, **options):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=specials, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else [], **options)
    tokenizer.train_from_iterator(training_corpus(), trainer)
    return tokenizer


def without_special_merges(spec):
    """Drops merges that spell a special token. The reference lets text become one through them; we never do, by design."""
    special = {token["content"] for token in spec["added_tokens"] if token["special"]}
    model = spec["model"]
    kept, gone = [], set(special)
    for a, b in model.get("merges", []):
        if a in gone or b in gone or a + b in gone:
            gone.add(a + b)
        else:
            kept.append([a, b])
    if "merges" in model:
        model["merges"] = kept
    return spec


def gpt2():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.decoder = decoders.ByteLevel()
    train_bpe(t, 4000, ["<|endoftext|>"])
    spec = json.loads(t.to_str())
    spec["model"]["merges"] = [" ".join(pair) for pair in without_special_merges(spec)["model"]["merges"]]
    return spec


def with_split(expression, size, normalizer, post_processor, specials, **model_options):
    t = Tokenizer(models.BPE(**model_options))
    if normalizer is not None:
        t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(expression), "isolated"),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    train_bpe(t, size, specials)
    t.post_processor = post_processor
    return json.loads(t.to_str())


def llama3():
    specials = ["<|begin_of_text|>", "<|endoftext|>"]
    template = processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)])
    spec = with_split(LLAMA3, 4000, None, processors.Sequence([processors.ByteLevel(), template]), specials, ignore_merges=True)
    # Words that no merge reaches, as Llama-3 has them: only ignore_merges finds these.
    merges = spec["model"]["merges"]
    dropped = set(range(1500, len(merges), 7))
    kept, gone = [], set()
    for i, (a, b) in enumerate(merges):
        if i in dropped or a in gone or b in gone:
            gone.add(a + b)
        else:
            kept.append([a, b])
    spec["model"]["merges"] = kept
    return spec


def qwen():
    return with_split(QWEN, 3500, normalizers.NFC(), processors.ByteLevel(trim_offsets=False), ["<|im_start|>", "<|endoftext|>"])


def o200k():
    return with_split(O200K, 3000, None, processors.ByteLevel(trim_offsets=True, add_prefix_space=False), ["<|endoftext|>"])


def digits():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(),
                                         normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Split("--", "merged_with_previous"),
        pre_tokenizers.Split(Regex(r"[\[\](){}]"), "merged_with_next"), pre_tokenizers.Punctuation("contiguous"),
        pre_tokenizers.ByteLevel(add_prefix_space=True)])
    t.decoder = decoders.ByteLevel()
    train_bpe(t, 2500, ["<s>", "</s>", "<unk>"])
    t.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    t.add_tokens([AddedToken("<left>", lstrip=True, normalized=False), AddedToken("<right>", rstrip=True, normalized=False),
                  AddedToken("TOK", single_word=True, normalized=False), AddedToken("Word", single_word=True, normalized=True),
                  AddedToken("ÉTÉ", lstrip=True, rstrip=True, normalized=True), AddedToken("<left><right>", normalized=False)])
    return json.loads(t.to_str())


def byte_fallback():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    all_bytes = [f"<0x{b:02X}>" for b in range(256)]
    train_bpe(t, 3000, ["<unk>", "<s>", "</s>"] + all_bytes, alphabet=False, limit_alphabet=300)
    spec = json.loads(t.to_str())
    spec["pre_tokenizer"] = None
    spec["added_tokens"] = spec["added_tokens"][:3]
    spec["decoder"] = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                                                        {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    template = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    spec["post_processor"] = json.loads(template.__getstate__())
    return spec


def metaspace():
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    t.decoder = decoders.Metaspace(prepend_scheme="first")
    return json.loads(train_bpe(t, 2000, ["<unk>", "<s>"], alphabet=False, limit_alphabet=200).to_str())


def cased_wordpiece():
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=20))
    t.normalizer = normalizers.BertNormalizer(lowercase=False, clean_text=True, handle_chinese_chars=True)
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits()])
    t.decoder = decoders.WordPiece(cleanup=False)
    t.train_from_iterator(training_corpus(), trainers.WordPieceTrainer(
        vocab_size=2500, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], limit_alphabet=400, show_progress=False))
    t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return json.loads(t.to_str())


def byte_offsets(text):
    offsets = [0]
    for c in text:
        offsets.append(offsets[-1] + len(c.encode()))
    return offsets


def expectations(tokenizer, texts):
    tokenizer.no_truncation()
    tokenizer.no_padding()
    counts, low, high, begins, lengths, sums = [], [], [], [], [], []
    for index, text in enumerate(texts):
        odd = index % 2 == 1
        tokenizer.encode_special_tokens = not odd
        encoding = tokenizer.encode(text, add_special_tokens=odd)
        to_byte = byte_offsets(text)
        end = 0
        for token, (b, e) in zip(encoding.ids, encoding.offsets):
            low.append(token & 0xFFFF)
            high.append(token >> 16)
            begins.append(to_byte[b] - end)
            end = to_byte[e]
            lengths.append(end - to_byte[b])
        counts.append(len(encoding.ids))
        sums.append(zlib.crc32(tokenizer.decode(encoding.ids, skip_special_tokens=not odd).encode()))
    columns = [("I", [len(texts)]), ("H", counts), ("H", low), ("B", high), ("h", begins), ("H", lengths), ("I", sums)]
    return b"".join(struct.pack(f"<{len(values)}{kind}", *values) for kind, values in columns)


def write(name, content):
    (OUT / name).write_bytes(gzip.compress(content, 9, mtime=0))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    texts = compose_texts()
    write("texts.bin.gz", b"".join(struct.pack("<I", len(t.encode())) + t.encode() for t in texts))
    minilm = Tokenizer.from_str(gzip.decompress((OUT / "minilm.json.gz").read_bytes()).decode())
    write("minilm.expected.gz", expectations(minilm, texts))
    for build in (gpt2, llama3, qwen, o200k, digits, byte_fallback, metaspace, cased_wordpiece):
        spec = build()
        if build is not gpt2:
            spec = without_special_merges(spec)
        spec = json.dumps(spec, ensure_ascii=False, separators=(",", ":"))
        write(f"{build.__name__}.json.gz", spec.encode())
        write(f"{build.__name__}.expected.gz", expectations(Tokenizer.from_str(spec), texts))
    total = sum(path.stat().st_size for path in OUT.glob("*.gz"))
    print(f"tokenizers {tokenizers.__version__}: {len(texts)} texts, {total} bytes in {OUT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
