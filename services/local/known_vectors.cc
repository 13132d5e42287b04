#include "services/local/known_vectors.h"

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/scope.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

constexpr size_t kMostTexts = 64;

std::string KeyOf(const std::string& text, const engine::EmbeddingModel& model, bool truncate,
                  const CallContext& context) {
  Sha256 hash;
  hash.Update(absl::StrCat(ScopeKey(context.scope()), "\n", model.info().fingerprint, truncate ? " cut\n" : "\n"));
  hash.Update(text);
  return hash.FinishHex();
}

}  // namespace

absl::StatusOr<std::vector<float>> KnownVectors::Embed(const engine::EmbeddingModel& model,
                                                       absl::Span<const std::string> texts, bool truncate,
                                                       const CallContext& context, std::vector<size_t>* tokens) {
  if (texts.size() > kMostTexts || context.priority() == Priority::kBackground) {
    return model.Embed(texts, truncate, context, tokens);
  }
  LASTRO_RETURN_IF_ERROR(context.Check());
  std::vector<std::string> keys;
  std::vector<std::shared_ptr<const Embedded>> vectors;
  for (const std::string& text : texts) {
    keys.push_back(KeyOf(text, model, truncate, context));
    vectors.push_back(known_.Find(keys.back()));
  }
  LASTRO_RETURN_IF_ERROR(EmbedMissing(model, texts, truncate, context, keys, &vectors));
  std::vector<float> all;
  tokens->clear();
  for (const auto& embedded : vectors) {
    all.insert(all.end(), embedded->vector.begin(), embedded->vector.end());
    tokens->push_back(embedded->tokens);
  }
  return all;
}

absl::Status KnownVectors::EmbedMissing(const engine::EmbeddingModel& model, absl::Span<const std::string> texts,
                                        bool truncate, const CallContext& context, absl::Span<const std::string> keys,
                                        std::vector<std::shared_ptr<const Embedded>>* vectors) {
  std::vector<std::string> missing;
  for (size_t i = 0; i < texts.size(); ++i) {
    if ((*vectors)[i] == nullptr) missing.push_back(texts[i]);
  }
  if (missing.empty()) return absl::OkStatus();
  std::vector<size_t> tokens;
  const absl::StatusOr<std::vector<float>> embedded = model.Embed(missing, truncate, context, &tokens);
  if (absl::IsInvalidArgument(embedded.status()) && missing.size() < texts.size()) {
    const absl::Status named = model.Embed(texts, truncate, context, nullptr).status();  // by its place among all
    return named.ok() ? embedded.status() : named;
  }
  LASTRO_RETURN_IF_ERROR(embedded.status());
  const ptrdiff_t dimension = model.info().dimension;
  auto row = embedded->begin();
  auto count = tokens.begin();
  for (size_t i = 0; i < texts.size(); ++i) {
    if ((*vectors)[i] != nullptr) continue;
    (*vectors)[i] = std::make_shared<Embedded>(Embedded{{row, row + dimension}, *count++});
    row += dimension;
    known_.Insert(keys[i], (*vectors)[i], sizeof(Embedded) + static_cast<size_t>(dimension) * sizeof(float));
  }
  return absl::OkStatus();
}

}  // namespace lastro::services
