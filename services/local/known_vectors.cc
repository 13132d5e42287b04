#include "services/local/known_vectors.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/scope.h"
#include "base/status_macros.h"
#include "services/local/find_or_compute.h"

namespace lastro::services {
namespace {

constexpr size_t kMostTexts = 64;  // of a call whose vectors are kept

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
  for (const std::string& text : texts) keys.push_back(KeyOf(text, model, truncate, context));
  auto embed = [&](absl::Span<const size_t> places) {
    std::vector<std::string> some;
    for (size_t place : places) some.push_back(texts[place]);
    return EmbedAll(model, some, truncate, context);
  };
  LASTRO_ASSIGN_OR_RETURN(const auto vectors,
                          FindOrCompute<Embedded>(known_, keys, embed, [](const Embedded& embedded) {
                            return sizeof(Embedded) + embedded.vector.size() * sizeof(float);
                          }));
  std::vector<float> all;
  tokens->clear();
  for (const auto& embedded : vectors) {
    all.insert(all.end(), embedded->vector.begin(), embedded->vector.end());
    tokens->push_back(embedded->tokens);
  }
  return all;
}

absl::StatusOr<std::vector<KnownVectors::Embedded>> KnownVectors::EmbedAll(const engine::EmbeddingModel& model,
                                                                           absl::Span<const std::string> texts,
                                                                           bool truncate, const CallContext& context) {
  std::vector<size_t> tokens;
  LASTRO_ASSIGN_OR_RETURN(const std::vector<float> vectors, model.Embed(texts, truncate, context, &tokens));
  const ptrdiff_t dimension = model.info().dimension;
  std::vector<Embedded> embedded;
  auto row = vectors.begin();
  for (size_t count : tokens) {
    embedded.push_back({{row, row + dimension}, count});
    row += dimension;
  }
  return embedded;
}

}  // namespace lastro::services
