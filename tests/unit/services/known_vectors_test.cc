// What was embedded before is not embedded again, for its caller.
#include "services/local/known_vectors.h"

#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/status_macros.h"
#include "tests/test_util.h"

namespace lastro::services {
namespace {

using lastro::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Notes the texts that it embeds: {length, 1}, of as many tokens as letters; of 10 at most.
class NotingModel : public engine::EmbeddingModel {
 public:
  explicit NotingModel(const std::string& fingerprint = "f") { info_.fingerprint = fingerprint, info_.dimension = 2; }
  const engine::EmbeddingInfo& info() const override { return info_; }
  const engine::Tokenizer& tokenizer() const override { LASTRO_CHECK(false, "nobody asks for it"); }
  absl::StatusOr<std::vector<float>> Embed(absl::Span<const std::string> texts, bool truncate,
                                           const CallContext& context, std::vector<size_t>* tokens) const override {
    LASTRO_RETURN_IF_ERROR(context.Check());
    std::vector<float> vectors;
    for (size_t i = 0; i < texts.size(); ++i) {
      if (texts[i].size() > 10 && !truncate) {
        return absl::InvalidArgumentError(absl::StrCat("text ", i, " has ", texts[i].size(), " tokens"));
      }
      vectors.insert(vectors.end(), {static_cast<float>(texts[i].size()), 1});
      if (tokens != nullptr) tokens->push_back(texts[i].size());
    }
    embedded_.insert(embedded_.end(), texts.begin(), texts.end());
    return vectors;
  }
  // Since the last call.
  std::vector<std::string> TakeEmbedded() { return std::exchange(embedded_, {}); }

 private:
  engine::EmbeddingInfo info_;
  mutable std::vector<std::string> embedded_;
};

class KnownVectorsTest : public ::testing::Test {
 protected:
  // The texts that were embedded for it.
  std::vector<std::string> Embed(const std::vector<std::string>& texts, const CallContext& context = {},
                                 bool truncate = false) {
    std::vector<size_t> tokens;
    const absl::StatusOr<std::vector<float>> vectors = known_.Embed(model_, texts, truncate, context, &tokens);
    EXPECT_TRUE(vectors.ok()) << vectors.status();
    if (!vectors.ok()) return {};
    std::vector<float> expected;
    std::vector<size_t> lengths;
    for (const std::string& text : texts) {
      expected.insert(expected.end(), {static_cast<float>(text.size()), 1});
      lengths.push_back(text.size());
    }
    EXPECT_EQ(*vectors, expected);
    EXPECT_EQ(tokens, lengths);
    return model_.TakeEmbedded();
  }

  NotingModel model_;
  KnownVectors known_{1u << 20};
};

TEST_F(KnownVectorsTest, ATextIsEmbeddedOnce) {
  EXPECT_THAT(Embed({"one", "three"}), ElementsAre("one", "three"));
  EXPECT_THAT(Embed({"three", "one", "three"}), IsEmpty());
  EXPECT_THAT(Embed({"fifteen", "three", "four", "one"}), ElementsAre("fifteen", "four"));
}

TEST_F(KnownVectorsTest, OfOneCallerAndOneModelAndOneCut) {
  const CallContext a = CallContext().WithScope({.tenant = "a"}), b = CallContext().WithScope({.tenant = "b"});
  EXPECT_THAT(Embed({"one"}, a), ElementsAre("one"));
  EXPECT_THAT(Embed({"one"}, b), ElementsAre("one"));
  EXPECT_THAT(Embed({"one"}), ElementsAre("one"));
  EXPECT_THAT(Embed({"one"}, {}, /*truncate=*/true), ElementsAre("one"));
  EXPECT_THAT(Embed({"one"}, a), IsEmpty());
  NotingModel other("g");
  std::vector<size_t> tokens;
  EXPECT_TRUE(known_.Embed(other, {{"one"}}, false, a, &tokens).ok());
  EXPECT_THAT(other.TakeEmbedded(), ElementsAre("one"));
}

TEST_F(KnownVectorsTest, ManyTextsAndThoseOfTheBackgroundAreNotKept) {
  const CallContext background = CallContext().WithPriority(Priority::kBackground);
  EXPECT_THAT(Embed({"one"}, background), ElementsAre("one"));
  EXPECT_THAT(Embed({"one"}, background), ElementsAre("one"));
  const std::vector<std::string> many(1'000, "one");
  EXPECT_EQ(Embed(many).size(), many.size());
  EXPECT_THAT(Embed({"one"}), ElementsAre("one"));
  EXPECT_EQ(Embed(many).size(), many.size());
}

TEST_F(KnownVectorsTest, ErrorsNameTheTextByItsPlace) {
  Embed({"one", "three"});
  std::vector<size_t> tokens;
  EXPECT_THAT(known_.Embed(model_, {{"one", "two", "of too many", "three"}}, false, {}, &tokens).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("text 2 ")));
  CallContext cancelled;
  cancelled.Cancel();
  EXPECT_THAT(known_.Embed(model_, {{"one"}}, false, cancelled, &tokens).status(),
              StatusIs(absl::StatusCode::kCancelled, ::testing::_));
}

}  // namespace
}  // namespace lastro::services
