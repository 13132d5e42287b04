#include "services/routed_models.h"

#include <set>
#include <utility>

#include "base/status_macros.h"

namespace lastro::services {
namespace {

class RoutedInspect final : public InspectApi {
 public:
  RoutedInspect(InspectApi* decoder, InspectApi* embedder) : decoder_(*decoder), embedder_(*embedder) {}

  absl::StatusOr<v1::TokenizeTextResponse> TokenizeText(const v1::TokenizeTextRequest& request,
                                                        const CallContext& context) override {
    InspectApi& target = request.model() == v1::MODEL_ROLE_EMBEDDER ? embedder_ : decoder_;
    return target.TokenizeText(request, context);
  }
  absl::StatusOr<v1::InspectPromptResponse> InspectPrompt(const v1::InspectPromptRequest& request,
                                                          const CallContext& context) override {
    return decoder_.InspectPrompt(request, context);
  }

 private:
  InspectApi& decoder_;
  InspectApi& embedder_;
};

class MergedModels final : public ModelApi {
 public:
  MergedModels(ModelApi* first, ModelApi* second) : first_(*first), second_(*second) {}

  absl::StatusOr<v1::ListModelsResponse> ListModels(const v1::ListModelsRequest& request,
                                                    const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(v1::ListModelsResponse first, first_.ListModels(request, context));
    LASTRO_ASSIGN_OR_RETURN(v1::ListModelsResponse second, second_.ListModels(request, context));
    v1::ListModelsResponse merged;
    std::set<std::pair<int, std::string>> seen;
    for (const auto* part : {&first, &second}) {
      for (const v1::Model& model : part->models()) {
        if (seen.emplace(model.role(), model.fingerprint()).second) *merged.add_models() = model;
      }
    }
    return merged;
  }

 private:
  ModelApi& first_;
  ModelApi& second_;
};

}  // namespace

std::unique_ptr<InspectApi> MakeRoutedInspect(InspectApi* decoder, InspectApi* embedder) {
  return std::make_unique<RoutedInspect>(decoder, embedder);
}

std::unique_ptr<ModelApi> MakeMergedModels(ModelApi* first, ModelApi* second) {
  return std::make_unique<MergedModels>(first, second);
}

}  // namespace lastro::services
