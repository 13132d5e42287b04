#include "services/local/prompt_format.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "services/local/conversation.h"

namespace lastro::services {
namespace {

constexpr int kMaxPassages = 100;

constexpr char kInstructions[] =
    "Answer the question with sentences quoted from the passages. Behind each, write the number of its passage in "
    "brackets, such as [1].";

// The passages by number, one below the other.
std::string PassagesInWords(const v1::Prompt::Grounded& grounded) {
  std::string text;
  for (int i = 0; i < grounded.passages_size(); ++i) {
    absl::StrAppend(&text, "Passage ", i + 1, ":\n", grounded.passages(i), "\n\n");
  }
  return text;
}

// Control tokens around plain text: begin (passage number newline text)* question text answer.
class QuotingFormat : public PromptFormat {
 public:
  struct Tokens {
    int32_t begin, passage, question, answer, none, cite, end;
  };

  QuotingFormat(const engine::Tokenizer& tokenizer, const engine::DecoderInfo& info, absl::StatusOr<ChatFormatPtr> chat,
                const Tokens& tokens)
      : PromptFormat(tokenizer, info, std::move(chat)), tokens_(tokens) {}

  bool AnswersByQuoting() const override { return true; }
  std::optional<int32_t> NoneToken() const override { return tokens_.none; }

 protected:
  absl::StatusOr<std::vector<int32_t>> RenderGrounded(const v1::Prompt::Grounded& grounded) const override {
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
  std::vector<int32_t> GroundedStopIds() const override { return {tokens_.cite, tokens_.none, tokens_.end}; }

 private:
  const Tokens tokens_;
};

// Instructions in words, for a model of which nothing more is known.
class PlainFormat : public PromptFormat {
 public:
  PlainFormat(const engine::Tokenizer& tokenizer, const engine::DecoderInfo& info, absl::StatusOr<ChatFormatPtr> chat)
      : PromptFormat(tokenizer, info, std::move(chat)) {}

 protected:
  absl::StatusOr<std::vector<int32_t>> RenderGrounded(const v1::Prompt::Grounded& grounded) const override {
    return TextIds(
        absl::StrCat(kInstructions, "\n\n", PassagesInWords(grounded), "Question: ", grounded.question(), "\nAnswer:"));
  }
};

// The same in a conversation: instructions as the system's message, or where the template has no such role as the head
// of the user's.
class ConversingFormat : public PromptFormat {
 public:
  ConversingFormat(const engine::Tokenizer& tokenizer, const engine::DecoderInfo& info, ChatFormatPtr chat)
      : PromptFormat(tokenizer, info, std::move(chat)) {}

 protected:
  absl::StatusOr<std::vector<int32_t>> RenderGrounded(const v1::Prompt::Grounded& grounded) const override {
    engine::chat::Conversation conversation;
    conversation.now = LocalNow();
    const std::string content = absl::StrCat(PassagesInWords(grounded), "Question: ", grounded.question());
    conversation.messages.resize(2);
    conversation.messages[0].role = "system";
    conversation.messages[0].content = kInstructions;
    conversation.messages[1].role = "user";
    conversation.messages[1].content = content;
    absl::StatusOr<std::vector<int32_t>> ids = chat()->Render(conversation, /*content_only=*/true);
    if (!absl::IsInvalidArgument(ids.status())) return ids;
    conversation.messages.erase(conversation.messages.begin());
    conversation.messages[0].content = absl::StrCat(kInstructions, "\n\n", content);
    return chat()->Render(conversation, /*content_only=*/true);
  }
  const char* AnswerPrefix() const override { return ""; }
  std::vector<int32_t> GroundedStopIds() const override { return chat()->StopIds(); }
  bool GroundedIsChat() const override { return true; }
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
                                                                 const engine::DecoderInfo& info,
                                                                 absl::StatusOr<ChatFormatPtr> chat) {
  const std::string path = (std::filesystem::path(folder) / "lastro_prompt.json").string();
  absl::StatusOr<JsonDocument> document = JsonDocument::ParseFile(path, 1 << 20);
  if (absl::IsNotFound(document.status())) {
    if (!chat.ok() || *chat == nullptr) return std::make_unique<PlainFormat>(tokenizer, info, std::move(chat));
    return std::make_unique<ConversingFormat>(tokenizer, info, *std::move(chat));
  }
  LASTRO_RETURN_IF_ERROR(document.status());
  LASTRO_ASSIGN_OR_RETURN(std::string format, document->root().GetString("format", ""));
  if (format != "lastro-qa-v1") {
    return absl::UnimplementedError(
        absl::StrCat(path, ": format \"", format, "\" is not known; this version reads \"lastro-qa-v1\""));
  }
  LASTRO_ASSIGN_OR_RETURN(QuotingFormat::Tokens tokens, ReadTokens(document->root(), tokenizer));
  return std::make_unique<QuotingFormat>(tokenizer, info, std::move(chat), tokens);
}

PromptFormat::PromptFormat(const engine::Tokenizer& tokenizer, const engine::DecoderInfo& info,
                           absl::StatusOr<ChatFormatPtr> chat)
    : tokenizer_(tokenizer), info_(info) {
  if (!chat.ok()) {
    no_chat_ = absl::FailedPreconditionError(
        absl::StrCat("the chat template of ", info.name, " cannot be used: ", chat.status().message()));
  } else if (*chat == nullptr) {
    no_chat_ = absl::FailedPreconditionError(
        absl::StrCat(info.name, " has no chat template; give a text as the prompt, or a model that converses"));
  } else {
    chat_ = *std::move(chat);
  }
}

void PromptFormat::AppendText(const std::string& text, std::vector<int32_t>* ids) const {
  std::vector<int32_t> encoded = tokenizer_.Encode(text);
  ids->insert(ids->end(), encoded.begin(), encoded.end());
}

std::vector<int32_t> PromptFormat::TextIds(const std::string& text) const {
  if (info_.max_source_tokens > 0) return tokenizer_.Encode(text, {.add_special = true});
  std::vector<int32_t> ids;
  if (info_.bos_id >= 0) ids.push_back(info_.bos_id);
  AppendText(text, &ids);
  return ids;
}

absl::StatusOr<std::vector<int32_t>> PromptFormat::CheckedIds(const v1::TokenIds& tokens) const {
  for (int32_t id : tokens.ids()) {
    if (id < 0 || id >= info_.vocab_size) {
      return absl::InvalidArgumentError(
          absl::StrCat("prompt.tokens holds ", id, "; ids go from 0 to ", info_.vocab_size - 1));
    }
  }
  return std::vector<int32_t>(tokens.ids().begin(), tokens.ids().end());
}

absl::StatusOr<std::vector<int32_t>> PromptFormat::Render(const v1::Prompt& prompt, bool content_only) const {
  switch (prompt.prompt_case()) {
    case v1::Prompt::kText:
      return TextIds(prompt.text());
    case v1::Prompt::kGrounded:
      if (prompt.grounded().passages_size() > kMaxPassages) {
        return absl::InvalidArgumentError(absl::StrCat("prompt.grounded has ", prompt.grounded().passages_size(),
                                                       " passages; the limit is ", kMaxPassages));
      }
      return RenderGrounded(prompt.grounded());
    case v1::Prompt::kTokens:
      return CheckedIds(prompt.tokens());
    case v1::Prompt::kChat: {
      LASTRO_RETURN_IF_ERROR(no_chat_);
      LASTRO_ASSIGN_OR_RETURN(engine::chat::Conversation conversation, ToConversation(prompt.chat()));
      return chat_->Render(conversation, content_only);
    }
    case v1::Prompt::PROMPT_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("prompt is not set");
}

std::vector<int32_t> PromptFormat::Continuation(const v1::Prompt& prompt, const std::string& text) const {
  return tokenizer_.Encode(prompt.has_grounded() ? absl::StrCat(AnswerPrefix(), text) : text);
}

std::vector<int32_t> PromptFormat::StopIds(const v1::Prompt& prompt) const {
  if (prompt.has_grounded()) return GroundedStopIds();
  return prompt.has_chat() && chat_ != nullptr ? chat_->StopIds() : std::vector<int32_t>();
}

std::unique_ptr<engine::chat::ReplyReader> PromptFormat::NewReader(const v1::Prompt& prompt, bool content_only) const {
  if (!IsChat(prompt) || chat_ == nullptr || chat_->reply_is_text()) return nullptr;
  return chat_->NewReader(content_only || prompt.has_grounded());
}

}  // namespace lastro::services
