#include "engine/tokenizers/sentencepiece_normalizer.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace lastro::engine::tokenizers {

absl::StatusOr<SentencePieceNormalizer> SentencePieceNormalizer::Create(const VocabularySpec& spec,
                                                                        const PieceTrie* user_defined) {
  SentencePieceNormalizer normalizer;
  if (!spec.charsmap.empty()) {
    LASTRO_ASSIGN_OR_RETURN(normalizer.map_, CharsMap::Parse(spec.charsmap, spec.source));
  }
  normalizer.user_defined_ = user_defined;
  normalizer.dummy_prefix_ = spec.add_dummy_prefix;
  normalizer.collapse_ = spec.remove_extra_whitespaces;
  normalizer.escape_ = spec.escape_whitespaces;
  normalizer.suffix_ = spec.whitespace_as_suffix;
  return normalizer;
}

SentencePieceNormalizer::Step SentencePieceNormalizer::NextStep(absl::string_view input) const {
  size_t length = 0;
  user_defined_->ForEachPrefix(input, [&length](size_t matched, int32_t) { length = matched; });
  if (length == 0 && map_.has_value()) {
    std::optional<CharsMap::Rewrite> rule = map_->Longest(input);
    if (rule.has_value()) return {rule->length, rule->replacement};
  }
  if (length == 0) length = DecodeRune(input).length;
  return {length, input.substr(0, length)};
}

void SentencePieceNormalizer::Append(absl::string_view text, uint32_t source, NormalizedText* out) const {
  for (char byte : text) {
    if (byte == ' ') {
      out->text.append(space().data(), space().size());
    } else {
      out->text.push_back(byte);
    }
  }
  out->source.resize(out->text.size(), source);
}

void SentencePieceNormalizer::TrimEnd(uint32_t* consumed, NormalizedText* out) const {
  while (absl::EndsWith(out->text, space())) {
    size_t length = out->text.size() - space().size();
    *consumed = out->source[length];
    out->text.resize(length);
    out->source.resize(length);
  }
}

NormalizedText SentencePieceNormalizer::Normalize(absl::string_view input) const {
  NormalizedText out;
  uint32_t consumed = 0;
  auto consume = [&](size_t length) {
    consumed += static_cast<uint32_t>(length);
    input.remove_prefix(length);
  };
  while (collapse_ && !input.empty()) {
    Step step = NextStep(input);
    if (step.text != " ") break;
    consume(step.length);
  }
  if (!input.empty()) {
    out.text.reserve(input.size() + input.size() / 2);
    if (dummy_prefix_ && !suffix_) Append(" ", consumed, &out);
    bool after_space = collapse_;
    while (!input.empty()) {
      Step step = NextStep(input);
      while (after_space && absl::ConsumePrefix(&step.text, " ")) {
      }
      if (!step.text.empty()) {
        Append(step.text, consumed, &out);
        after_space = collapse_ && absl::EndsWith(step.text, " ");
      }
      consume(step.length);
    }
    if (collapse_) TrimEnd(&consumed, &out);
    if (dummy_prefix_ && suffix_) Append(" ", consumed, &out);
  }
  out.source.push_back(consumed);
  return out;
}

}  // namespace lastro::engine::tokenizers
