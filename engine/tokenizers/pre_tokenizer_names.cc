#include "engine/tokenizers/pre_tokenizer_names.h"

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/tokenizers/json_text.h"

namespace lastro::engine::tokenizers {
namespace {

constexpr char kGpt2[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr char kLlama3[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+)"
    R"(|\s+(?!\S)|\s+)";
constexpr char kQwen2[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+)"
    R"(|\s+(?!\S)|\s+)";
constexpr char kQwen35[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kJais2[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+)"
    R"(|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S))"
    R"(|\s{1,2}(?!\S)|\s{1})";
constexpr char kO200k[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kTekken[] = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
                           R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
                           R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kBloom[] = R"( ?[^(\s|.,!?…。，、।۔،)]+)";
constexpr char kChinese[] = R"([一-龥\u0800-一가-\uD7FF]+)";
// Letters with case, as the model's own file lists them.
constexpr char kDeepSeekLetters[] =
    R"(\s?[)"
    R"(A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370-\u0373)"
    R"(\u0376\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481)"
    R"(\u048A-\u052F\u0531-\u0556\u10A0-\u10C5\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B)"
    R"(\u1D6B-\u1D77\u1D79-\u1D9A\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B)"
    R"(\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB)"
    R"(\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115\u2119-\u211D\u2124\u2126\u2128)"
    R"(\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F\u2145-\u2149\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4)"
    R"(\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF)"
    R"(\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\x{10400}-\x{1044F}\x{104B0}-\x{104D3})"
    R"(\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943})"
    R"(]+)";
constexpr char kDeepSeekPunctuation[] = R"(\s?[!-/:-~！-／：-～‘-‟\u3000-。]+)";
constexpr char kDeepSeek3[] =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Rule {
  const char* names;                // separated by spaces
  std::vector<const char*> splits;  // expressions, applied one after the other
  bool ignore_merges = false;
  bool composes = false;  // NFC first
};

const std::vector<Rule>& Rules() {
  static const auto& rules = *new std::vector<Rule>{
      {"default", {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
      {"gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat a.x-4.0 mellum modern-bert roberta-bpe "
       "jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code",
       {kGpt2}},
      {"starcoder refact command-r smollm codeshell exaone minerva-7b mellum2", {R"(\p{N})", kGpt2}},
      {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", {kLlama3}, true},
      {"dbrx smaug-bpe chatglm-bpe glm4", {kLlama3}},
      {"jais-2", {kJais2}},
      {"qwen2 deepseek-r1-qwen", {kQwen2}, false, true},
      {"stablelm2 megrez hunyuan solar-open grok-2", {kQwen2}},
      {"qwen35", {kQwen35}, false, true},
      {"gpt-4o o200k gpt-oss llama4 kanana2 minimax-m2", {kO200k}},
      {"tekken", {kTekken}, true},
      {"bloom poro-chat gpt3-finnish", {kBloom}},
      {"viking", {kBloom, R"(\p{N})"}},
      {"deepseek-llm", {R"([\r\n])", kDeepSeekLetters, kDeepSeekPunctuation, R"(\s+$)", kChinese, R"(\p{N}+)"}},
      {"deepseek-coder", {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kChinese, R"(\p{N})"}},
      {"deepseek-v3 hunyuan-dense joyai-llm", {R"(\p{N}{1,3})", "[一-龥\u3040-ゟ゠-ヿ]+", kDeepSeek3}},
  };
  return rules;
}

// Falcon's own file: its last two steps see the spelled bytes.
constexpr char kFalcon[] =
    R"({"type":"Sequence","pretokenizers":[{"type":"Punctuation","behavior":"Contiguous"},)"
    R"({"type":"ByteLevel","add_prefix_space":false},{"type":"Digits","individual_digits":false},)"
    R"({"type":"Split","pattern":{"Regex":"[0-9][0-9][0-9]"},"behavior":"Isolated"}]})";

NamedPreTokenizer Spell(const Rule& rule) {
  NamedPreTokenizer result;
  result.normalizer = rule.composes ? R"({"type":"NFC"})" : "null";
  result.ignore_merges = rule.ignore_merges;
  result.pre_tokenizer = R"({"type":"Sequence","pretokenizers":[)";
  for (const char* expression : rule.splits) {
    absl::StrAppend(&result.pre_tokenizer, R"({"type":"Split","behavior":"Isolated","pattern":{"Regex":)",
                    JsonString(expression), "}},");
  }
  absl::StrAppend(&result.pre_tokenizer, R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]})");
  return result;
}

}  // namespace

const char* const kByteLevelSplit = kGpt2;

std::string NameOfPreTokenizer(const std::vector<std::string>& splits, bool ignore_merges, bool composes) {
  for (const Rule& rule : Rules()) {
    const bool same = std::equal(splits.begin(), splits.end(), rule.splits.begin(), rule.splits.end(),
                                 [](const std::string& split, const char* of_rule) { return split == of_rule; });
    if (!same || rule.ignore_merges != ignore_merges || rule.composes != composes) continue;
    const absl::string_view names = rule.names;
    return std::string(names.substr(0, names.find(' ')));
  }
  return "";
}

absl::StatusOr<NamedPreTokenizer> FindPreTokenizer(absl::string_view name, absl::string_view where) {
  if (name == "falcon") return NamedPreTokenizer{"null", kFalcon, false};
  for (const Rule& rule : Rules()) {
    for (absl::string_view known : absl::StrSplit(rule.names, ' ')) {
      if (known == name) return Spell(rule);
    }
  }
  return absl::UnimplementedError(
      absl::StrCat(where, ": the pre-tokenizer \"", name, "\" (tokenizer.ggml.pre) is not known to this version"));
}

}  // namespace lastro::engine::tokenizers
