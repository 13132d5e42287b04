// ChatTemplate: a model's chat template (the Jinja text of its tokenizer_config.json or chat_template.jinja), rendered
// as transformers' apply_chat_template does. Const after Parse, thread-safe.
//
// Supported: the expressions of Jinja2; for, if, set, macro, call, filter, generation, break and continue; the filters,
// tests and methods of filters.cc, value_tests.cc and methods.cc; range, dict, namespace, raise_exception,
// strftime_now. Anything else fails with its name and line. A template is bounded in steps, memory and depth, whatever
// it says.
//
// Control tokens come from the template only: the rendering remembers which bytes came from messages, and EncodeChat
// recognises special tokens nowhere in those. Roles of a fixed list count as the template's, as some templates build
// their control tokens from them ("<|user|>"); any other role does not.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "engine/chat/ast.h"
#include "engine/chat/text.h"
#include "engine/chat/value.h"
#include "engine/tokenizer.h"

namespace lastro::engine::chat {

// A message of plain text. Messages with more (tool calls, reasoning) come from JSON: Value::FromJson.
Value MakeMessage(absl::string_view role, absl::string_view content);

struct ChatInput {
  std::vector<Value> messages;  // dicts with at least "role"
  Value tools;                  // undefined: none; else a list of JSON schemas of functions
  bool add_generation_prompt = true;
  std::string bos_token;
  std::string eos_token;
  absl::CivilSecond now;                                 // what strftime_now() formats
  std::vector<std::pair<std::string, Value>> variables;  // such as enable_thinking; override all the others
};

struct RenderLimits {
  int64_t steps = 10'000'000;
  int64_t bytes = int64_t{256} << 20;  // written in all, intermediate strings included
};

class ChatTemplate {
 public:
  // INVALID_ARGUMENT for a malformed template, one over 1 MiB or nested too deep; UNIMPLEMENTED for a construct this
  // version does not have. Messages name the construct and the line.
  static absl::StatusOr<ChatTemplate> Parse(absl::string_view source);

  // INVALID_ARGUMENT when the template refuses the messages (its words are in the message) or errs on them;
  // RESOURCE_EXHAUSTED beyond `limits`.
  absl::StatusOr<std::vector<Piece>> Render(const ChatInput& input, const RenderLimits& limits = {}) const;

 private:
  explicit ChatTemplate(Body body) : body_(std::make_shared<const Body>(std::move(body))) {}
  std::shared_ptr<const Body> body_;
};

// The text of all pieces.
std::string Concatenate(const std::vector<Piece>& pieces);

// The ids of a rendering. Special tokens are recognised where all their bytes are trusted; all else is encoded as in
// the whole text, so that without specials spelled in messages the ids are those of Encode(Concatenate(pieces),
// {.parse_special = true}).
std::vector<int32_t> EncodeChat(const Tokenizer& tokenizer, const std::vector<Piece>& pieces);

}  // namespace lastro::engine::chat
