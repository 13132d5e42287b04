// Model: one word in, tokens out. Const after construction and thread-safe; scratch memory is the caller's.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/json.h"
#include "engine/tokenizers/merge_queue.h"
#include "engine/tokenizers/viterbi.h"
#include "engine/tokenizers/vocabulary.h"

namespace lastro::engine::tokenizers {

// A token and its bytes of the word.
struct WordToken {
  int32_t id;
  uint32_t begin;
  uint32_t end;
};

// Working memory of one caller, reused from word to word.
struct ModelScratch {
  struct Symbol {
    int32_t id;
    int32_t previous;  // indices into symbols; -1 at the ends
    int32_t next;
    uint32_t begin;
    uint32_t end;  // begin == end: merged into its neighbour
  };
  std::vector<Symbol> symbols;
  MergeQueue queue;
  std::vector<PathNode<double>> paths;
  std::vector<PathPiece> path;
};

// What the models need to know of the rest of the file.
struct ModelContext {
  bool byte_level = false;  // words are raw bytes; the vocabulary spells them byte-level (models that LooksUpBytes)
  absl::flat_hash_set<std::string> special;  // tokens that text may never become, except as the unknown token
};

class Model {
 public:
  virtual ~Model() = default;
  // Appends the tokens of `word` (not empty) to `out`, in order.
  virtual void Tokenize(absl::string_view word, ModelScratch* scratch, std::vector<WordToken>* out) const = 0;
};

// Reads {"type": "BPE", "WordPiece", "Unigram" or "WordLevel", ...}, whose "vocab" has been read into `vocabulary`.
// Older files have no type: it is told from the members. UNIMPLEMENTED names any other model or option (dropout).
absl::StatusOr<std::unique_ptr<Model>> ParseModel(const JsonValue& component, const Vocabulary& vocabulary,
                                                  const ModelContext& context);
absl::StatusOr<std::unique_ptr<Model>> ParseBpe(const JsonValue& component, const Vocabulary& vocabulary,
                                                const ModelContext& context);
absl::StatusOr<std::unique_ptr<Model>> ParseWordPiece(const JsonValue& component, const Vocabulary& vocabulary,
                                                      const ModelContext& context);
absl::StatusOr<std::unique_ptr<Model>> ParseUnigram(const JsonValue& component, const Vocabulary& vocabulary,
                                                    const ModelContext& context);
absl::StatusOr<std::unique_ptr<Model>> ParseWordLevel(const JsonValue& component, const Vocabulary& vocabulary,
                                                      const ModelContext& context);

// The "type" of a model component, told from the members where there is none.
absl::StatusOr<std::string> ModelType(const JsonValue& component);

// Whether the model looks bytes up itself, so that byte-level text need not be spelled out for it.
absl::StatusOr<bool> LooksUpBytes(const JsonValue& component);

}  // namespace lastro::engine::tokenizers
