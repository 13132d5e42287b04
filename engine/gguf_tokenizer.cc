#include "engine/gguf_tokenizer.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/gguf_config.h"

namespace lastro::engine {
namespace {

using tokenizers::VocabularySpec;
using Kind = VocabularySpec::Kind;

constexpr char kPrefix[] = "tokenizer.ggml.";
// Splitting rules whose models begin every text with BOS unless the file says otherwise.
constexpr absl::string_view kRulesWithBos[] = {"llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral", "tekken"};

// Reads fields one by one; remembers the first error.
class Fields {
 public:
  explicit Fields(const GgufMetadata& metadata) : metadata_(metadata) {}

  bool Has(absl::string_view key) const { return metadata_.Has(absl::StrCat(kPrefix, key)); }
  bool Bool(absl::string_view key, bool otherwise) {
    return Has(key) ? Value(metadata_.Bool(absl::StrCat(kPrefix, key)), otherwise) : otherwise;
  }
  std::string Text(absl::string_view key, absl::string_view otherwise) {
    if (!Has(key)) return std::string(otherwise);
    return std::string(Value(metadata_.String(absl::StrCat(kPrefix, key)), otherwise));
  }
  // The first of `keys` that is there; an id beyond int32 is no id of any vocabulary.
  std::optional<int32_t> Id(std::initializer_list<absl::string_view> keys, std::optional<int32_t> otherwise) {
    for (absl::string_view key : keys) {
      if (!Has(key)) continue;
      const int64_t id = Value(metadata_.Int(absl::StrCat(kPrefix, key)), int64_t{0});
      return static_cast<int32_t>(std::clamp<int64_t>(id, -1, INT32_MAX));
    }
    return otherwise;
  }
  std::vector<std::string> Texts(absl::string_view key) {
    auto texts = Value(metadata_.Strings(absl::StrCat(kPrefix, key)), std::vector<absl::string_view>());
    return {texts.begin(), texts.end()};
  }
  std::vector<float> Floats(absl::string_view key) {
    auto numbers = Value(metadata_.Doubles(absl::StrCat(kPrefix, key)), std::vector<double>());
    return {numbers.begin(), numbers.end()};
  }
  std::vector<int64_t> Ints(absl::string_view key) {
    return Value(metadata_.Ints(absl::StrCat(kPrefix, key)), std::vector<int64_t>());
  }
  const absl::Status& status() const { return status_; }

 private:
  template <typename T, typename U>
  T Value(absl::StatusOr<T> value, U otherwise) {
    if (value.ok()) return *std::move(value);
    if (status_.ok()) status_ = value.status();
    return T(otherwise);
  }

  const GgufMetadata& metadata_;
  absl::Status status_;
};

void ReadTypes(Fields& fields, VocabularySpec* spec) {
  if (!fields.Has("token_type")) return;
  for (int64_t type : fields.Ints("token_type")) {
    spec->types.push_back(static_cast<VocabularySpec::Type>(std::clamp<int64_t>(type, 0, 255)));
  }
}

void ReadSentencePiece(Fields& fields, VocabularySpec* spec) {
  const bool unigram = spec->kind == Kind::kUnigram;
  spec->scores = fields.Floats("scores");
  spec->bos = fields.Id({"bos_token_id"}, unigram ? std::optional<int32_t>() : 1);
  spec->eos = fields.Id({"eos_token_id"}, unigram ? 1 : 2);
  spec->unknown = fields.Id({"unknown_token_id"}, unigram ? 2 : 0);
  spec->add_bos = fields.Bool("add_bos_token", !unigram);
  spec->add_eos = fields.Bool("add_eos_token", unigram);
  spec->add_dummy_prefix = fields.Bool("add_space_prefix", true);
  spec->remove_extra_whitespaces = fields.Bool("remove_extra_whitespaces", false);
  spec->byte_fallback =
      std::find(spec->types.begin(), spec->types.end(), VocabularySpec::Type::kByte) != spec->types.end();
  if (!fields.Has("precompiled_charsmap")) return;
  for (int64_t byte : fields.Ints("precompiled_charsmap")) spec->charsmap.push_back(static_cast<char>(byte));
}

void ReadByteLevel(Fields& fields, VocabularySpec* spec) {
  spec->merges = fields.Texts("merges");
  spec->pre_tokenizer = fields.Text("pre", "default");
  spec->bos = fields.Id({"bos_token_id"}, std::nullopt);
  spec->eos = fields.Id({"eos_token_id"}, std::nullopt);
  spec->unknown = fields.Id({"unknown_token_id"}, std::nullopt);
  const bool with_bos =
      std::find(std::begin(kRulesWithBos), std::end(kRulesWithBos), spec->pre_tokenizer) != std::end(kRulesWithBos);
  spec->add_bos = fields.Bool("add_bos_token", with_bos && spec->bos.has_value());
  spec->add_eos = fields.Bool("add_eos_token", false);
}

void ReadWordPiece(Fields& fields, VocabularySpec* spec) {
  spec->bos = fields.Id({"cls_token_id", "bos_token_id"}, 101);
  spec->eos = fields.Id({"seperator_token_id", "eos_token_id"}, 102);  // the format spells it so
  spec->unknown = fields.Id({"unknown_token_id"}, 100);
  spec->add_bos = fields.Bool("add_bos_token", true);
  spec->add_eos = fields.Bool("add_sep_token", fields.Bool("add_eos_token", true));
}

}  // namespace

absl::StatusOr<VocabularySpec> ReadGgufVocabulary(const GgufMetadata& metadata) {
  VocabularySpec spec;
  spec.source = metadata.name();
  LASTRO_ASSIGN_OR_RETURN(absl::string_view model, metadata.String(absl::StrCat(kPrefix, "model")));
  LASTRO_ASSIGN_OR_RETURN(spec.kind, tokenizers::VocabularyKind(model));
  Fields fields(metadata);
  spec.tokens = fields.Texts("tokens");
  ReadTypes(fields, &spec);
  switch (spec.kind) {
    case Kind::kMergedPieces:
    case Kind::kUnigram:
      ReadSentencePiece(fields, &spec);
      break;
    case Kind::kByteLevelBpe:
      ReadByteLevel(fields, &spec);
      break;
    case Kind::kWordPiece:
      ReadWordPiece(fields, &spec);
      break;
  }
  LASTRO_RETURN_IF_ERROR(fields.status());
  return spec;
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadGgufTokenizer(const GgufMetadata& metadata) {
  if (metadata.Has(kGgufTokenizerJsonKey)) {
    LASTRO_ASSIGN_OR_RETURN(absl::string_view json, metadata.String(kGgufTokenizerJsonKey));
    return Tokenizer::Parse(json, absl::StrCat(metadata.name(), " (", kGgufTokenizerJsonKey, ")"));
  }
  LASTRO_ASSIGN_OR_RETURN(VocabularySpec spec, ReadGgufVocabulary(metadata));
  return tokenizers::BuildTokenizer(std::move(spec));
}

}  // namespace lastro::engine
