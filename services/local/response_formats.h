// ResponseFormats: constraints that make a model's text what a request's response_format says. Compiled schemas are
// kept, by content; what is made of the vocabulary is made at the first use. Thread-safe.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/constrained/cited_text_constraint.h"
#include "engine/constrained/json_constraint.h"
#include "engine/constrained/token_trie.h"
#include "engine/tokenizer.h"
#include "lastro/v1/generation.pb.h"

namespace lastro::services {

class ResponseFormats {
 public:
  // `tokenizer` must outlive the object.
  explicit ResponseFormats(const engine::Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // A constraint for one text behind `prompt`, valid as long as this object; null when `format` says nothing.
  // `by_quoting`: PromptFormat::AnswersByQuoting. Errors as engine::constrained::JsonSchema::Parse; INVALID_ARGUMENT
  // where `format` needs another kind of prompt.
  absl::StatusOr<std::unique_ptr<engine::TokenConstraint>> NewConstraint(const v1::ResponseFormat& format,
                                                                         const v1::Prompt& prompt,
                                                                         bool by_quoting = false) const;

 private:
  using Schema = std::shared_ptr<const engine::constrained::JsonSchema>;

  absl::StatusOr<Schema> Compiled(const std::string& json) const;
  absl::StatusOr<std::unique_ptr<engine::TokenConstraint>> CitedText(const v1::CitedText& format,
                                                                     const v1::Prompt& prompt, bool by_quoting) const;
  const engine::constrained::TokenTrie& Trie() const;
  const engine::constrained::CitedVocabulary& Vocabulary() const;

  const engine::Tokenizer& tokenizer_;
  mutable absl::Mutex mutex_;
  mutable std::unique_ptr<const engine::constrained::TokenTrie> trie_ ABSL_GUARDED_BY(mutex_);
  mutable std::unique_ptr<const engine::constrained::CitedVocabulary> vocabulary_ ABSL_GUARDED_BY(mutex_);
  mutable absl::flat_hash_map<std::string, Schema> schemas_ ABSL_GUARDED_BY(mutex_);  // "": any object
  mutable std::deque<std::string> oldest_ ABSL_GUARDED_BY(mutex_);                    // keys of schemas_
};

}  // namespace lastro::services
