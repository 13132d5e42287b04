// JsonConstraint: generated text is JSON that satisfies a schema. The text is that of schema_compiler.h; whatever
// tokens it is made of, also where one spans several parts of the grammar or ends inside a character.
//
// A JsonSchema is compiled once, const and thread-safe; a constraint is made from it for each text. The set of tokens
// that may follow is found by walking the trie of the vocabulary and is kept for each state met.
#pragma once

#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/constrained/automaton.h"
#include "engine/constrained/matcher.h"
#include "engine/constrained/token_constraint.h"
#include "engine/constrained/token_trie.h"

namespace lastro::engine::constrained {

class JsonSchema {
 public:
  // Errors as CompileSchema; RESOURCE_EXHAUSTED for a schema over 256 KiB.
  static absl::StatusOr<JsonSchema> Parse(absl::string_view schema_json);
  // Any JSON object.
  static absl::StatusOr<JsonSchema> AnyObject();

  // True when `text` is a whole document in the form that is generated.
  bool Matches(absl::string_view text) const;

  // A constraint for one text. `trie` must outlive it; the schema need not.
  std::unique_ptr<TokenConstraint> NewConstraint(const TokenTrie& trie) const;

 private:
  explicit JsonSchema(Automaton automaton) : automaton_(std::make_shared<const Automaton>(std::move(automaton))) {}
  std::shared_ptr<const Automaton> automaton_;
};

}  // namespace lastro::engine::constrained
