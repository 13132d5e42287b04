// WordLevel: a word is a token or unknown.
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/status_macros.h"
#include "engine/tokenizers/model.h"

namespace lastro::engine::tokenizers {
namespace {

class WordLevel : public Model {
 public:
  WordLevel(std::optional<int32_t> unknown, absl::flat_hash_map<std::string, int32_t> words)
      : unknown_(unknown), words_(std::move(words)) {}

  void Tokenize(absl::string_view word, ModelScratch*, std::vector<WordToken>* out) const override {
    auto found = words_.find(word);
    std::optional<int32_t> id = found == words_.end() ? unknown_ : found->second;
    if (id.has_value()) out->push_back({*id, 0, static_cast<uint32_t>(word.size())});
  }

 private:
  std::optional<int32_t> unknown_;
  absl::flat_hash_map<std::string, int32_t> words_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Model>> ParseWordLevel(const JsonValue& component, const Vocabulary& vocabulary,
                                                      const ModelContext& context) {
  LASTRO_ASSIGN_OR_RETURN(std::string unknown, component.GetString("unk_token", "<unk>"));
  absl::flat_hash_map<std::string, int32_t> words;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    absl::string_view word = vocabulary.TokenOf(id);
    if (!context.special.contains(word)) words.emplace(word, id);
  }
  return std::unique_ptr<Model>(std::make_unique<WordLevel>(vocabulary.IdOf(unknown), std::move(words)));
}

}  // namespace lastro::engine::tokenizers
