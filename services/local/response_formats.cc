#include "services/local/response_formats.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

constexpr size_t kMaxSchemas = 64;
constexpr size_t kMaxQuotableBytes = 1 << 20;

}  // namespace

const engine::constrained::TokenTrie& ResponseFormats::Trie() const {
  absl::MutexLock lock(&mutex_);
  if (trie_ == nullptr) trie_ = std::make_unique<const engine::constrained::TokenTrie>(tokenizer_);
  return *trie_;
}

absl::StatusOr<ResponseFormats::Schema> ResponseFormats::Compiled(const std::string& json) const {
  {
    absl::MutexLock lock(&mutex_);
    auto found = schemas_.find(json);
    if (found != schemas_.end()) return found->second;
  }
  using engine::constrained::JsonSchema;
  LASTRO_ASSIGN_OR_RETURN(JsonSchema schema, json.empty() ? JsonSchema::AnyObject() : JsonSchema::Parse(json));
  Schema compiled = std::make_shared<const JsonSchema>(std::move(schema));
  absl::MutexLock lock(&mutex_);
  if (!schemas_.emplace(json, compiled).second) return compiled;  // another call was faster
  oldest_.push_back(json);
  if (oldest_.size() > kMaxSchemas) {
    schemas_.erase(oldest_.front());
    oldest_.pop_front();
  }
  return compiled;
}

const engine::constrained::CitedVocabulary& ResponseFormats::Vocabulary() const {
  const engine::constrained::TokenTrie& trie = Trie();
  absl::MutexLock lock(&mutex_);
  if (vocabulary_ == nullptr) vocabulary_ = std::make_unique<const engine::constrained::CitedVocabulary>(trie);
  return *vocabulary_;
}

absl::StatusOr<std::unique_ptr<engine::TokenConstraint>> ResponseFormats::CitedText(const v1::CitedText& format,
                                                                                    const v1::Prompt& prompt,
                                                                                    bool by_quoting) const {
  if (!prompt.has_grounded()) {
    return absl::InvalidArgumentError("response_format.cited_text cites passages; give prompt.grounded");
  }
  const std::vector<std::string> texts(prompt.grounded().passages().begin(), prompt.grounded().passages().end());
  size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  if (format.verbatim_quotes() && bytes > kMaxQuotableBytes) {
    return absl::InvalidArgumentError(absl::StrCat("response_format.cited_text.verbatim_quotes: the passages have ",
                                                   bytes, " bytes; the limit is ", kMaxQuotableBytes));
  }
  return engine::constrained::NewCitedTextConstraint(Vocabulary(),
                                                     {static_cast<int>(texts.size()), format.verbatim_quotes(), texts,
                                                      /*all_quote=*/format.verbatim_quotes() && by_quoting});
}

absl::StatusOr<std::unique_ptr<engine::TokenConstraint>> ResponseFormats::NewConstraint(
    const v1::ResponseFormat& format, const v1::Prompt& prompt, bool by_quoting) const {
  std::string json;
  switch (format.format_case()) {
    case v1::ResponseFormat::kJsonObject:
      if (!format.json_object()) return nullptr;
      break;
    case v1::ResponseFormat::kJsonSchema:
      if (format.json_schema().empty()) return absl::InvalidArgumentError("response_format.json_schema is empty");
      json = format.json_schema();
      break;
    case v1::ResponseFormat::kCitedText:
      return CitedText(format.cited_text(), prompt, by_quoting);
    case v1::ResponseFormat::FORMAT_NOT_SET:
      return nullptr;
  }
  LASTRO_ASSIGN_OR_RETURN(Schema schema, Compiled(json));
  return schema->NewConstraint(Trie());
}

}  // namespace lastro::services
