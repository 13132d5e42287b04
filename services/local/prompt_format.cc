#include "services/local/prompt_format.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

constexpr int kMaxPassages = 100;

// Control tokens around plain text: begin (passage number newline text)* question text answer.
class QuotingFormat : public PromptFormat {
 public:
  struct Tokens {
    int32_t begin, passage, question, answer, none, cite, end;
  };

  QuotingFormat(const engine::Tokenizer& tokenizer, const engine::DecoderInfo& info, const Tokens& tokens)
      : PromptFormat(tokenizer, info), tokens_(tokens) {}

  std::vector<int32_t> Continuation(const v1::Prompt& prompt, const std::string& text) const override {
    return tokenizer_.Encode(prompt.has_grounded() ? absl::StrCat(" ", text) : text);
  }
  std::optional<int32_t> NoneToken() const override { return tokens_.none; }
  std::vector<int32_t> StopIds() const override { return {tokens_.cite, tokens_.none, tokens_.end}; }

 protected:
  std::vector<int32_t> RenderGrounded(const v1::Prompt::Grounded& grounded) const override {
    std::vector<int32_t> ids = {tokens_.begin};
    for (int i = 0; i < grounded.passages_size(); ++i) {
      ids.push_back(tokens_.passage);
      AppendText(absl::StrCat(i + 1, "\n", grounded.passages(i)), &ids);
    }
    ids.push_back(tokens_.question);
    AppendText(grounded.question(), &ids);
    ids.push_back(tokens_.answer);
    return ids;
  }

 private:
  const Tokens tokens_;
};

// Instructions in words, for a decoder of which nothing more is known.
class PlainFormat : public PromptFormat {
 public:
  PlainFormat(const engine::Tokenizer& tokenizer, const engine::DecoderInfo& info) : PromptFormat(tokenizer, info) {}

  std::vector<int32_t> Continuation(const v1::Prompt& prompt, const std::string& text) const override {
    return tokenizer_.Encode(prompt.has_grounded() ? absl::StrCat(" ", text) : text);
  }

 protected:
  std::vector<int32_t> RenderGrounded(const v1::Prompt::Grounded& grounded) const override {
    std::string text = "Answer the question with sentences quoted from the passages.\n\n";
    for (int i = 0; i < grounded.passages_size(); ++i) {
      absl::StrAppend(&text, "Passage ", i + 1, ":\n", grounded.passages(i), "\n\n");
    }
    absl::StrAppend(&text, "Question: ", grounded.question(), "\nAnswer:");
    std::vector<int32_t> ids;
    AppendBegin(&ids);
    AppendText(text, &ids);
    return ids;
  }
};

absl::StatusOr<QuotingFormat::Tokens> ReadTokens(const JsonValue& root, const engine::Tokenizer& tokenizer) {
  QuotingFormat::Tokens tokens;
  const std::pair<const char*, int32_t*> fields[] = {
      {"begin", &tokens.begin},   {"passage", &tokens.passage}, {"question", &tokens.question},
      {"answer", &tokens.answer}, {"none", &tokens.none},       {"cite", &tokens.cite},
      {"end", &tokens.end}};
  for (const auto& [name, id] : fields) {
    LASTRO_ASSIGN_OR_RETURN(JsonValue field, root.Get(name));
    LASTRO_ASSIGN_OR_RETURN(absl::string_view token, field.AsString());
    std::optional<int32_t> found = tokenizer.TokenToId(token);
    if (!found || !tokenizer.IsSpecial(*found)) {
      return absl::InvalidArgumentError(
          absl::StrCat(field.path(), ": \"", token, "\" is no special token of tokenizer.json"));
    }
    *id = *found;
  }
  return tokens;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PromptFormat>> PromptFormat::Load(const std::string& folder,
                                                                 const engine::Tokenizer& tokenizer,
                                                                 const engine::DecoderInfo& info) {
  const std::string path = (std::filesystem::path(folder) / "lastro_prompt.json").string();
  absl::StatusOr<JsonDocument> document = JsonDocument::ParseFile(path, 1 << 20);
  if (absl::IsNotFound(document.status())) return std::make_unique<PlainFormat>(tokenizer, info);
  LASTRO_RETURN_IF_ERROR(document.status());
  LASTRO_ASSIGN_OR_RETURN(std::string format, document->root().GetString("format", ""));
  if (format != "lastro-qa-v1") {
    return absl::UnimplementedError(
        absl::StrCat(path, ": format \"", format, "\" is not known; this version reads \"lastro-qa-v1\""));
  }
  LASTRO_ASSIGN_OR_RETURN(QuotingFormat::Tokens tokens, ReadTokens(document->root(), tokenizer));
  return std::make_unique<QuotingFormat>(tokenizer, info, tokens);
}

void PromptFormat::AppendText(const std::string& text, std::vector<int32_t>* ids) const {
  std::vector<int32_t> encoded = tokenizer_.Encode(text);
  ids->insert(ids->end(), encoded.begin(), encoded.end());
}

void PromptFormat::AppendBegin(std::vector<int32_t>* ids) const {
  if (bos_id_ >= 0) ids->push_back(bos_id_);
}

absl::StatusOr<std::vector<int32_t>> PromptFormat::Render(const v1::Prompt& prompt) const {
  std::vector<int32_t> ids;
  switch (prompt.prompt_case()) {
    case v1::Prompt::kText:
      AppendBegin(&ids);
      AppendText(prompt.text(), &ids);
      return ids;
    case v1::Prompt::kGrounded:
      if (prompt.grounded().passages_size() > kMaxPassages) {
        return absl::InvalidArgumentError(absl::StrCat("prompt.grounded has ", prompt.grounded().passages_size(),
                                                       " passages; the limit is ", kMaxPassages));
      }
      return RenderGrounded(prompt.grounded());
    case v1::Prompt::kTokens:
      for (int32_t id : prompt.tokens().ids()) {
        if (id < 0 || id >= vocab_size_) {
          return absl::InvalidArgumentError(
              absl::StrCat("prompt.tokens holds ", id, "; ids go from 0 to ", vocab_size_ - 1));
        }
      }
      return std::vector<int32_t>(prompt.tokens().ids().begin(), prompt.tokens().ids().end());
    case v1::Prompt::PROMPT_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("prompt is not set");
}

}  // namespace lastro::services
