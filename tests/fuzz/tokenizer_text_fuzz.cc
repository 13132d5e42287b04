// Any text through tokenizers that between them use every normaliser and pre-tokeniser.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/tokenizers/json_tokenizer.h"
#include "tests/fuzz/tokenizer_checks.h"

namespace {

using namespace lastro;

constexpr const char* kFiles[] = {
    R"({"added_tokens":[{"id":2,"content":"[CLS]","special":true},{"id":4,"content":"é","normalized":true,"lstrip":true,"rstrip":true}],
        "normalizer":{"type":"BertNormalizer"},"pre_tokenizer":{"type":"BertPreTokenizer"},
        "post_processor":{"type":"BertProcessing","cls":["[CLS]",2],"sep":["[CLS]",2]},"decoder":{"type":"WordPiece"},
        "model":{"type":"WordPiece","unk_token":"u","vocab":{"u":0,"a":1,"[CLS]":2,"##a":3}}})",
    R"({"normalizer":{"type":"Sequence","normalizers":[{"type":"NFKD"},{"type":"StripAccents"},{"type":"Lowercase"},
        {"type":"Replace","pattern":{"Regex":"\\s{2,}"},"content":"__"},{"type":"Strip"},{"type":"NFC"},{"type":"Prepend","prepend":"xy"}]},
        "pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},{"type":"Punctuation"},
        {"type":"Split","pattern":{"Regex":"(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)|\\s+"},"behavior":"MergedWithNext"},
        {"type":"ByteLevel","add_prefix_space":true}]},"decoder":{"type":"ByteLevel"},
        "post_processor":{"type":"RobertaProcessing","cls":["a",1],"sep":["a",1]},
        "model":{"type":"BPE","unk_token":"u","vocab":{"u":0,"a":1,"Ġ":2,"Ã":3,"©":4,"Ã©":5,"aa":6},"merges":["a a",["Ã","©"]]}})",
    R"({"normalizer":{"type":"NFKC"},"pre_tokenizer":{"type":"Metaspace","prepend_scheme":"first"},
        "decoder":{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Metaspace"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":1}]},
        "model":{"type":"BPE","unk_token":"u","fuse_unk":true,"byte_fallback":true,"vocab":{"u":0,"a":1,"▁":2,"<0xC3>":3,"<0xA9>":4,"▁a":5},"merges":["▁ a"]}})",
    R"({"normalizer":{"type":"NFD"},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Whitespace"},{"type":"WhitespaceSplit"}]},
        "model":{"type":"BPE","continuing_subword_prefix":"##","end_of_word_suffix":"$","vocab":{"a":0,"##a":1,"##a$":2,"aa":3},"merges":["a ##a"]}})",
    R"({"normalizer":{"type":"Sequence","normalizers":[{"type":"Nmt"},{"type":"Precompiled","precompiled_charsmap":"AAQAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABBIQIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABhAA=="}]},
        "pre_tokenizer":{"type":"Metaspace","prepend_scheme":"always"},"decoder":{"type":"Metaspace"},
        "model":{"type":"Unigram","unk_id":0,"byte_fallback":true,"vocab":[["u",0],["▁",-1],["a",-2],["▁a",-2.5],["<0xC3>",-9],["<0xA9>",-9]]}})",
    R"({"normalizer":{"type":"ByteLevel"},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"UnicodeScripts"},
        {"type":"CharDelimiterSplit","delimiter":"a"},{"type":"ByteLevel"},{"type":"Digits"}]},"decoder":{"type":"CTC"},
        "model":{"type":"WordLevel","unk_token":"u","vocab":{"u":0,"a":1}}})",
    R"({"pre_tokenizer":{"type":"ByteLevel"},"decoder":{"type":"BPEDecoder"},
        "model":{"type":"BPE","unk_token":"u","end_of_word_suffix":"</w>","vocab":{"u":0,"a":1,"a</w>":2,"aa</w>":3},"merges":["a a</w>"]}})"};

std::vector<std::unique_ptr<engine::Tokenizer>> ParseAll() {
  std::vector<std::unique_ptr<engine::Tokenizer>> tokenizers;
  for (const char* json : kFiles) {
    auto document = JsonDocument::Parse(json, "fuzz");
    LASTRO_CHECK(document.ok(), document.status().ToString());
    auto tokenizer = engine::tokenizers::ParseTokenizer(*document);
    LASTRO_CHECK(tokenizer.ok(), tokenizer.status().ToString());
    tokenizers.push_back(*std::move(tokenizer));
  }
  return tokenizers;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto& tokenizers = *new std::vector<std::unique_ptr<engine::Tokenizer>>(ParseAll());
  for (const auto& tokenizer : tokenizers) {
    engine::CheckTokenizer(*tokenizer, {reinterpret_cast<const char*>(data), size});
  }
  return 0;
}
