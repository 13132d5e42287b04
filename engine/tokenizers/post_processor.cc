#include "engine/tokenizers/post_processor.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "engine/tokenizers/byte_level.h"
#include "engine/tokenizers/component.h"
#include "engine/tokenizers/unicode.h"

namespace lastro::engine::tokenizers {
namespace {

// White space at either end of a token's value, a byte-level space included, in characters.
struct SpaceCount {
  uint32_t leading = 0;
  uint32_t trailing = 0;
};

SpaceCount CountSpaces(absl::string_view value) {
  SpaceCount count;
  bool only_spaces = true;
  while (!value.empty()) {
    DecodedRune decoded = DecodeRune(value);
    bool space = decoded.rune == ByteToRune(' ') || IsWhitespace(decoded.rune);
    only_spaces = only_spaces && space;
    if (only_spaces) ++count.leading;
    count.trailing = space ? count.trailing + 1 : 0;
    value.remove_prefix(decoded.length);
  }
  return count;
}

uint32_t StepForward(absl::string_view input, uint32_t at, uint32_t end, uint32_t characters) {
  for (; characters > 0 && at < end; --characters) at += static_cast<uint32_t>(DecodeRune(input.substr(at)).length);
  return std::min(at, end);
}

// `characters` before `at`; nullopt when the input has fewer.
std::optional<uint32_t> StepBack(absl::string_view input, uint32_t at, uint32_t characters) {
  for (; characters > 0; --characters) {
    if (at == 0) return std::nullopt;
    --at;
    for (int back = 0; back < 3 && at > 0 && IsContinuationByte(input[at]); ++back) --at;
  }
  return at;
}

// Takes the white space at both ends of tokens out of their offsets.
class TrimOffsets : public PostProcessor {
 public:
  explicit TrimOffsets(bool add_prefix_space) : add_prefix_space_(add_prefix_space) {}

  void Apply(absl::string_view input, bool, std::vector<ValuedToken>* tokens) const override {
    for (size_t i = 0; i < tokens->size(); ++i) Trim(input, i == 0, &(*tokens)[i]);
  }

 private:
  void Trim(absl::string_view input, bool first, ValuedToken* token) const {
    SpaceCount spaces = CountSpaces(token->value);
    uint32_t& begin = token->token.begin;
    uint32_t& end = token->token.end;
    // A single space that was put before the text is not in the input: nothing to trim.
    if ((first || begin == 0) && add_prefix_space_ && spaces.leading == 1) spaces.leading = 0;
    begin = StepForward(input, begin, end, spaces.leading);
    if (spaces.trailing > 0) {
      std::optional<uint32_t> trimmed = StepBack(input, end, spaces.trailing);
      if (trimmed.has_value()) end = std::max(*trimmed, begin);
    }
  }

  bool add_prefix_space_;
};

// Ids before and after the text.
class Surround : public PostProcessor {
 public:
  Surround(std::vector<int32_t> before, std::vector<int32_t> after)
      : before_(std::move(before)), after_(std::move(after)) {}

  void Apply(absl::string_view, bool add_special, std::vector<ValuedToken>* tokens) const override {
    if (!add_special) return;
    std::vector<ValuedToken> front = Tokens(before_), back = Tokens(after_);
    tokens->insert(tokens->begin(), front.begin(), front.end());
    tokens->insert(tokens->end(), back.begin(), back.end());
  }

 private:
  static std::vector<ValuedToken> Tokens(const std::vector<int32_t>& ids) {
    std::vector<ValuedToken> tokens;
    for (int32_t id : ids) tokens.push_back({Token{id, 0, 0}, ""});
    return tokens;
  }

  std::vector<int32_t> before_, after_;
};

class Sequence : public PostProcessor {
 public:
  explicit Sequence(std::vector<std::unique_ptr<PostProcessor>> steps) : steps_(std::move(steps)) {}
  void Apply(absl::string_view input, bool add_special, std::vector<ValuedToken>* tokens) const override {
    for (const auto& step : steps_) step->Apply(input, add_special, tokens);
  }

 private:
  std::vector<std::unique_ptr<PostProcessor>> steps_;
};

using Result = absl::StatusOr<std::unique_ptr<PostProcessor>>;

absl::StatusOr<int32_t> AsKnownId(const JsonValue& value, const Vocabulary& vocabulary) {
  LASTRO_ASSIGN_OR_RETURN(int32_t id, AsTokenId(value));
  if (id < vocabulary.size()) return id;
  return absl::InvalidArgumentError(
      absl::StrCat(value.path(), " is ", id, "; the vocabulary has ", vocabulary.size(), " ids"));
}

// Appends the ids of the template's special token `name`.
absl::Status AppendSpecial(const JsonValue& component, absl::string_view name, const Vocabulary& vocabulary,
                           std::vector<int32_t>* ids) {
  LASTRO_ASSIGN_OR_RETURN(JsonValue table, component.Get("special_tokens"));
  LASTRO_ASSIGN_OR_RETURN(JsonValue entry, table.Get(name));
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> values, ItemsOf(entry, "ids"));
  for (const JsonValue& value : values) {
    LASTRO_ASSIGN_OR_RETURN(int32_t id, AsKnownId(value, vocabulary));
    ids->push_back(id);
  }
  return absl::OkStatus();
}

Result ParseTemplate(const JsonValue& component, const Vocabulary& vocabulary) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> items, ItemsOf(component, "single"));
  std::vector<int32_t> before, after;
  int sequences = 0;
  for (const JsonValue& item : items) {
    if (item.Has("Sequence")) {
      ++sequences;
      continue;
    }
    LASTRO_ASSIGN_OR_RETURN(JsonValue special, item.Get("SpecialToken"));
    LASTRO_ASSIGN_OR_RETURN(std::string name, special.GetString("id", ""));
    LASTRO_RETURN_IF_ERROR(AppendSpecial(component, name, vocabulary, sequences == 0 ? &before : &after));
  }
  if (sequences == 1) return std::make_unique<Surround>(std::move(before), std::move(after));
  return absl::InvalidArgumentError(
      absl::StrCat(component.path(), ".single must hold one Sequence; it has ", sequences));
}

// The id of ["[SEP]", 102].
absl::StatusOr<int32_t> PairedId(const JsonValue& component, absl::string_view key, const Vocabulary& vocabulary) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> pair, ItemsOf(component, key));
  if (pair.size() == 2) return AsKnownId(pair[1], vocabulary);
  return absl::InvalidArgumentError(absl::StrCat(component.path(), ".", key, " must be [token, id]"));
}

Result ParseBertLike(const JsonValue& component, const Vocabulary& vocabulary) {
  LASTRO_ASSIGN_OR_RETURN(int32_t cls, PairedId(component, "cls", vocabulary));
  LASTRO_ASSIGN_OR_RETURN(int32_t sep, PairedId(component, "sep", vocabulary));
  return std::make_unique<Surround>(std::vector<int32_t>{cls}, std::vector<int32_t>{sep});
}

// The trimming that ByteLevel and RobertaProcessing ask for; does nothing with trim_offsets false.
absl::StatusOr<std::vector<std::unique_ptr<PostProcessor>>> ParseTrim(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(bool trim, component.GetBool("trim_offsets", true));
  LASTRO_ASSIGN_OR_RETURN(bool add_prefix_space, component.GetBool("add_prefix_space", true));
  std::vector<std::unique_ptr<PostProcessor>> steps;
  if (trim) steps.push_back(std::make_unique<TrimOffsets>(add_prefix_space));
  return steps;
}

Result ParseRoberta(const JsonValue& component, const Vocabulary& vocabulary) {
  LASTRO_ASSIGN_OR_RETURN(auto steps, ParseTrim(component));
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<PostProcessor> surround, ParseBertLike(component, vocabulary));
  steps.push_back(std::move(surround));
  return std::make_unique<Sequence>(std::move(steps));
}

Result ParseByteLevel(const JsonValue& component) {
  LASTRO_ASSIGN_OR_RETURN(auto steps, ParseTrim(component));
  return std::make_unique<Sequence>(std::move(steps));
}

Result ParseSequence(const JsonValue& component, const Vocabulary& vocabulary) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> items, ItemsOf(component, "processors"));
  std::vector<std::unique_ptr<PostProcessor>> steps;
  for (const JsonValue& item : items) {
    LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<PostProcessor> step, ParsePostProcessor(item, vocabulary));
    steps.push_back(std::move(step));
  }
  return std::make_unique<Sequence>(std::move(steps));
}

}  // namespace

Result ParsePostProcessor(const JsonValue& component, const Vocabulary& vocabulary) {
  LASTRO_ASSIGN_OR_RETURN(std::string type, TypeOf(component));
  if (type == "TemplateProcessing") return ParseTemplate(component, vocabulary);
  if (type == "BertProcessing") return ParseBertLike(component, vocabulary);
  if (type == "RobertaProcessing") return ParseRoberta(component, vocabulary);
  if (type == "ByteLevel") return ParseByteLevel(component);
  if (type == "Sequence") return ParseSequence(component, vocabulary);
  return UnsupportedType(component, type);
}

}  // namespace lastro::engine::tokenizers
