"""Exports the tokenizer goldens: tokenizer files of several families, 10,000 difficult texts, and what the reference
library makes of them. Deterministic for one version of the library.

    python tests/golden/export_tokenizers.py [NAME...]    (from the repository's root; all of them without names;
                                                           exported with tokenizers 0.20.3 and sentencepiece 0.2.3)

Needs nothing but the packages `tokenizers` and `sentencepiece`. Reads tests/golden/tokenizers/minilm.json.gz, the tokenizer of
sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0); trains the others on text it composes itself. Writes to
tests/golden/tokenizers:

  texts.bin.gz         10,000 records: u32 length, UTF-8 bytes
  NAME.json.gz         a tokenizer.json
  NAME.expected.gz     columns, all little-endian: u32 number of texts; then, over all texts in order,
                       u16 tokens per text; u16 low and u8 high part of each token's id;
                       i16 begin of each token less the end of the one before it, in bytes of the text; u16 its length;
                       u32 CRC-32 of each text's decoding, as UTF-8
  NAME.model.gz        a SentencePiece model
  NAME.sums.gz         for the other tokenizer.json and for the models: u32 number of texts; then for each text u32 CRC-32
                       of its tokens (u32 id, begin, end of each) followed by its decoding

Texts with an even index are encoded without special tokens, and specials spelled in them stay text; they are decoded
with special tokens skipped. Texts with an odd index get special tokens, spelled ones are recognised, and none is skipped.
SentencePiece models know no such difference: all texts are encoded without special tokens. (The reference lets text
that spells a special token become one where the model has it as a piece; we never do, by design, so for even texts the
reference runs on a copy of the file whose special pieces cannot be spelled.)
Every text is at most 2,000 bytes long.
"""
import base64
import gzip
import io
import json
import random
import struct
import sys
import unicodedata
import zlib
from pathlib import Path

import sentencepiece
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


def unspellable(spec):
    """A copy of `spec` whose special pieces no text contains."""
    spec = json.loads(json.dumps(spec))
    special = {token["content"] for token in spec["added_tokens"] if token["special"]}
    model = spec["model"]
    if model["type"] == "Unigram":
        model["vocab"] = [["\U0010fffd" + piece if piece in special else piece, score] for piece, score in model["vocab"]]
    if model["type"] in ("WordLevel", "WordPiece"):
        model["vocab"] = {"\U0010fffd" + word if word in special and word != model["unk_token"] else word: i
                          for word, i in model["vocab"].items()}
    return spec


def checksum(tokens, decoded):
    packed = b"".join(struct.pack("<3I", *token) for token in tokens)
    return zlib.crc32(packed + decoded.encode())


def sums(spec, texts):
    tokenizer, plain = Tokenizer.from_str(json.dumps(spec)), Tokenizer.from_str(json.dumps(unspellable(spec)))
    plain.encode_special_tokens = True
    renumbered = {plain.token_to_id(token["content"]): token["id"] for token in spec["added_tokens"]}
    values = []
    for index, text in enumerate(texts):
        odd = index % 2 == 1
        encoding = (tokenizer if odd else plain).encode(text, add_special_tokens=odd)
        ids = encoding.ids if odd else [renumbered.get(i, i) for i in encoding.ids]
        to_byte = byte_offsets(text)
        tokens = [(i, to_byte[b], to_byte[e]) for i, (b, e) in zip(ids, encoding.offsets)]
        values.append(checksum(tokens, tokenizer.decode(ids, skip_special_tokens=not odd) if ids else ""))
    return struct.pack(f"<{len(values) + 1}I", len(values), *values)


def model_sums(model, texts):
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    values = []
    for text in texts:
        pieces = [dict((number, value) for number, value, _ in fields(piece))
                  for tag, piece, _ in fields(processor.encode(text, return_type="serialized_proto")) if tag == 2]
        tokens = [(piece.get(2, 0), piece.get(4, 0), piece.get(5, 0)) for piece in pieces]
        values.append(checksum(tokens, processor.decode([token[0] for token in tokens]) if tokens else ""))
    return struct.pack(f"<{len(values) + 1}I", len(values), *values)


def train_model(size, **options):
    """A SentencePiece model as bytes."""
    writer = io.BytesIO()
    lines = [line for text in list(training_corpus())[:12_000] for line in text.splitlines() if "\0" not in line]
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=writer, vocab_size=size, num_threads=1,
                                             minloglevel=2, **options)
    return writer.getvalue()


def varint(data, at):
    value, shift = 0, 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return value, at


def fields(message):
    """The fields of a protobuf message: number, value, and the bytes they take with their tag."""
    at = 0
    while at < len(message):
        start = at
        tag, at = varint(message, at)
        if tag & 7 == 0:
            value, at = varint(message, at)
        else:
            size, at = varint(message, at) if tag & 7 == 2 else ({1: 8, 5: 4}[tag & 7], at)
            value, at = message[at:at + size], at + size
        yield tag >> 3, value, message[start:at]


def pieces_of(model):
    """Piece and score of each piece; the precompiled charsmap."""
    pieces, charsmap = [], b""
    for number, value, _ in fields(model):
        if number == 1:
            piece = {key: content for key, content, _ in fields(value)}
            pieces.append([piece[1].decode(), struct.unpack("<f", piece[2])[0] if 2 in piece else 0.0])
        if number == 3:
            charsmap = dict((key, content) for key, content, _ in fields(value)).get(2, b"")
    return pieces, charsmap


def sp_unigram():
    return train_model(2000, model_type="unigram", character_coverage=0.98, user_defined_symbols=["TOK", "<left>", "  x"],
                       control_symbols=["[CLS]", "<mask>"], unk_surface=" ? ")


def sp_unigram_suffix():
    return train_model(1500, model_type="unigram", character_coverage=0.98, normalization_rule_name="nfkc_cf",
                       treat_whitespace_as_suffix=True, byte_fallback=True, remove_extra_whitespaces=False, pad_id=3)


def sp_bpe():
    return train_model(1500, model_type="bpe", character_coverage=0.98, normalization_rule_name="identity", byte_fallback=True,
                       remove_extra_whitespaces=False, split_digits=True, user_defined_symbols=["TOK", "##ing"])


def sp_bpe_unused():
    """With pieces that may not come out, which are cut up again."""
    model, out, count = train_model(1500, model_type="bpe", character_coverage=0.98, normalization_rule_name="nfkc"), b"", 0
    for number, value, encoded in fields(model):
        if number == 1 and 40 <= count < 640 and count % 3 == 0:
            value += b"\x18\x05"  # type: UNUSED
            encoded = b"\x0a" + bytes([len(value)]) + value
        count += number == 1
        out += encoded
    return out


def from_model(model, specials, **model_options):
    """A Unigram tokenizer.json of a SentencePiece model, without normaliser and the rest."""
    pieces, charsmap = pieces_of(model)
    for i, special in enumerate(specials):
        pieces[i] = [special, 0.0]
    return {"version": "1.0", "added_tokens": [special_token(i, content) for i, content in enumerate(specials)],
            "normalizer": None, "pre_tokenizer": None, "post_processor": None,
            "decoder": {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True},
            "model": {"type": "Unigram", "unk_id": specials.index("<unk>"), "vocab": pieces, **model_options}}, charsmap


def special_token(i, content, **options):
    return {"id": i, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True,
            **options}


def precompiled(charsmap):
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()}


def template(single, tokens):
    return json.loads(processors.TemplateProcessing(single=single, special_tokens=tokens).__getstate__())


METASPACE = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True, "prepend_scheme": "always"}
UNIGRAM = {"model_type": "unigram", "character_coverage": 0.98}


def t5():
    spec, charsmap = from_model(train_model(1500, **UNIGRAM, pad_id=0, eos_id=1, unk_id=2, bos_id=-1), ["<pad>", "</s>", "<unk>"])
    spec["normalizer"] = precompiled(charsmap)
    spec["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
    spec["post_processor"] = template("$A </s>", [("</s>", 1)])
    size = len(spec["model"]["vocab"])
    spec["added_tokens"] += [special_token(size, "<mask>"), special_token(size + 1, "<left>", special=False, normalized=True)]
    return spec


def xlm_r():
    spec, charsmap = from_model(train_model(1500, **UNIGRAM, pad_id=1, bos_id=0, eos_id=2, unk_id=3, normalization_rule_name="nfkc"),
                             ["<s>", "<pad>", "</s>", "<unk>"])
    spec["normalizer"] = {"type": "Sequence", "normalizers": [
        precompiled(charsmap), {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}
    spec["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, METASPACE]}
    spec["post_processor"] = template("<s> $A </s>", [("<s>", 0), ("</s>", 2)])
    spec["added_tokens"].append(special_token(len(spec["model"]["vocab"]), "<mask>", lstrip=True))
    return spec


def albert():
    spec, charsmap = from_model(train_model(1200, **UNIGRAM, pad_id=0, unk_id=1, bos_id=2, eos_id=3, normalization_rule_name="nmt_nfkc_cf"),
                             ["<pad>", "<unk>", "[CLS]", "[SEP]"])
    spec["normalizer"] = {"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"String": "``"}, "content": "\""}, {"type": "Replace", "pattern": {"String": "''"}, "content": "\""},
        {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}, precompiled(charsmap)]}
    spec["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, METASPACE]}
    spec["post_processor"] = template("[CLS] $A [SEP]", [("[CLS]", 2), ("[SEP]", 3)])
    return spec


def mbart():
    """Also with byte fallback and the older clean-up of text."""
    spec, _ = from_model(train_model(1500, **UNIGRAM, byte_fallback=True, pad_id=1, bos_id=0, eos_id=2, unk_id=3),
                             ["<s>", "<pad>", "</s>", "<unk>"], byte_fallback=True)
    size = len(spec["model"]["vocab"])
    spec["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Nmt"}, {"type": "NFKC"},
                                                              {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}
    spec["pre_tokenizer"] = METASPACE
    spec["post_processor"] = template("$A </s> en_XX", [("</s>", 2), ("en_XX", size)])
    spec["decoder"] = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, spec["decoder"]]}
    spec["added_tokens"].append(special_token(size, "en_XX"))
    return spec


def sentencepiece_bpe(specials, **model_options):
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    train_bpe(t, 2500, specials + [f"<0x{b:02X}>" for b in range(256)], alphabet=False, limit_alphabet=300)
    spec = json.loads(t.to_str())
    spec["added_tokens"] = spec["added_tokens"][:len(specials)]
    return spec


def llama2():
    """Not legacy: the space goes before the text, not before each part of it."""
    spec = sentencepiece_bpe(["<unk>", "<s>", "</s>"])
    spec["normalizer"] = None
    spec["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    spec["decoder"] = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                                                        {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    spec["post_processor"] = template("<s> $A", [("<s>", 1)])
    return spec


def gemma():
    spec = sentencepiece_bpe(["<pad>", "<eos>", "<bos>", "<unk>"])
    spec["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    spec["pre_tokenizer"] = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    spec["decoder"] = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                                                        {"type": "Fuse"}]}
    spec["post_processor"] = template("<bos> $A", [("<bos>", 2)])
    vocab = spec["model"]["vocab"]
    for content in ("\n", "\n\n", "▁▁", "▁▁▁▁", "<mask>"):
        spec["added_tokens"].append(special_token(vocab.setdefault(content, len(vocab)), content, special=content == "<mask>"))
    spec["added_tokens"].sort(key=lambda token: token["id"])
    return spec


def falcon():
    """With steps after the one that makes bytes of the text."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")])
    t.decoder = decoders.ByteLevel()
    train_bpe(t, 2000, [">>TITLE<<", "<|endoftext|>"])
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    return json.loads(t.to_str())


BLOOM = " ?[^(\\s|[.,!?…。，、।۔،])]+"


def bloom():
    spec = with_split(BLOOM, 2000, None, processors.ByteLevel(trim_offsets=False), ["<unk>", "<s>", "</s>", "<pad>"])
    return spec


def roberta():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    train_bpe(t, 2000, ["<s>", "<pad>", "</s>", "<unk>"])
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    return json.loads(t.to_str())


def clip():
    t = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>", continuing_subword_prefix=""))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed",
                             invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.BPEDecoder(suffix="</w>")
    train_bpe(t, 2000, ["<|startoftext|>", "<|endoftext|>"], end_of_word_suffix="</w>")
    t.post_processor = processors.RobertaProcessing(("<|endoftext|>", 1), ("<|startoftext|>", 0), trim_offsets=False, add_prefix_space=False)
    return json.loads(t.to_str())


def scripts():
    """WordLevel, and the steps that no well-known file has."""
    t = Tokenizer(models.WordLevel(unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Nmt()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.UnicodeScripts(), pre_tokenizers.CharDelimiterSplit("|"), pre_tokenizers.Whitespace()])
    t.train_from_iterator(training_corpus(), trainers.WordLevelTrainer(vocab_size=1500, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False))
    t.decoder = decoders.CTC(pad_token="e", word_delimiter_token="a", cleanup=True)
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return json.loads(t.to_str())


def byte_words():
    """Words spelled in bytes by the normaliser, through WordPiece."""
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", continuing_subword_prefix="@@", max_input_chars_per_word=50))
    t.normalizer = normalizers.ByteLevel()
    t.pre_tokenizer = pre_tokenizers.Split("Ġ", "merged_with_next")
    t.train_from_iterator(training_corpus(), trainers.WordPieceTrainer(vocab_size=1500, special_tokens=["[UNK]", "[CLS]"], show_progress=False,
                                                                      continuing_subword_prefix="@@", limit_alphabet=150))
    t.decoder = decoders.WordPiece(prefix="@@", cleanup=True)
    return json.loads(t.to_str())


def write(name, content):
    (OUT / name).write_bytes(gzip.compress(content, 9, mtime=0))


def export_columns(build, texts):
    spec = build()
    if build is not gpt2:
        spec = without_special_merges(spec)
    spec = json.dumps(spec, ensure_ascii=False, separators=(",", ":"))
    write(f"{build.__name__}.json.gz", spec.encode())
    write(f"{build.__name__}.expected.gz", expectations(Tokenizer.from_str(spec), texts))


def export_sums(build, texts):
    spec = without_special_merges(build())
    write(f"{build.__name__}.json.gz", json.dumps(spec, ensure_ascii=False, separators=(",", ":")).encode())
    write(f"{build.__name__}.sums.gz", sums(spec, texts))


def export_model(build, texts):
    model = build()
    write(f"{build.__name__}.model.gz", model)
    write(f"{build.__name__}.sums.gz", model_sums(model, texts))


def export_minilm(build, texts):
    write("minilm.expected.gz", expectations(build(), texts))


def minilm():
    return Tokenizer.from_str(gzip.decompress((OUT / "minilm.json.gz").read_bytes()).decode())


EXPORTS = [(export_minilm, (minilm,)),
           (export_columns, (gpt2, llama3, qwen, o200k, digits, byte_fallback, metaspace, cased_wordpiece)),
           (export_sums, (t5, xlm_r, albert, mbart, llama2, gemma, falcon, bloom, roberta, clip, scripts, byte_words)),
           (export_model, (sp_unigram, sp_unigram_suffix, sp_bpe, sp_bpe_unused))]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    texts = compose_texts()
    write("texts.bin.gz", b"".join(struct.pack("<I", len(t.encode())) + t.encode() for t in texts))
    for export, builds in EXPORTS:
        for build in builds:
            if len(sys.argv) == 1 or build.__name__ in sys.argv[1:]:
                export(build, texts)
    total = sum(path.stat().st_size for path in OUT.glob("*.gz"))
    print(f"tokenizers {tokenizers.__version__}: {len(texts)} texts, {total} bytes in {OUT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
