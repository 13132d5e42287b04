// What was read before is not read again, for its caller.
#include "services/local/reading.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/status_macros.h"
#include "tests/test_util.h"

namespace lastro::services {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Notes the passages that it reads. A passage's relevance is its length, and its answers are its first bytes.
class NotingReader : public engine::Reader {
 public:
  explicit NotingReader(const std::string& fingerprint = "f") { info_.fingerprint = fingerprint; }
  const engine::ReaderInfo& info() const override { return info_; }
  const engine::Tokenizer& tokenizer() const override { LASTRO_CHECK(false, "nobody asks for it"); }
  absl::StatusOr<std::vector<engine::Reading>> Read(absl::Span<const engine::ReadPair> pairs, int max_spans,
                                                    const CallContext& context) const override {
    LASTRO_RETURN_IF_ERROR(context.Check());
    std::vector<engine::Reading> readings;
    for (size_t i = 0; i < pairs.size(); ++i) {
      if (pairs[i].passage == " ") return absl::InvalidArgumentError(absl::StrCat("passage ", i, " has no tokens"));
      readings.push_back({.relevance = static_cast<float>(pairs[i].passage.size())});
      for (int span = 0; span < max_spans; ++span) readings.back().spans.push_back({0, 1, 1.0f / (1 + span), 0.5});
    }
    for (const engine::ReadPair& pair : pairs) read_.emplace_back(pair.passage);
    return readings;
  }
  // Since the last call.
  std::vector<std::string> TakeRead() { return std::exchange(read_, {}); }

 private:
  engine::ReaderInfo info_;
  mutable std::vector<std::string> read_;
};

v1::ReadRequest RequestOf(const std::string& question, const std::vector<std::string>& passages) {
  v1::ReadRequest request;
  request.set_question(question);
  for (const std::string& passage : passages) request.add_passages(passage);
  return request;
}

class ReadingTest : public ::testing::Test {
 protected:
  // The passages that were read for it.
  std::vector<std::string> Read(const v1::ReadRequest& request, const CallContext& context = {}) {
    const absl::StatusOr<v1::ReadResponse> response = ReadPassages(reader_, request, context, &known_);
    EXPECT_THAT(response.status(), IsOk());
    if (!response.ok()) return {};
    EXPECT_EQ(response->readings_size(), request.passages_size());
    for (int i = 0; i < response->readings_size(); ++i) {
      EXPECT_EQ(response->readings(i).relevance(), static_cast<double>(request.passages(i).size())) << i;
      EXPECT_EQ(response->readings(i).spans_size(), std::max(1, request.max_spans())) << i;
    }
    return reader_.TakeRead();
  }

  NotingReader reader_;
  ReadingCache known_{1u << 20};
};

TEST_F(ReadingTest, APassageIsReadOnceForAQuestion) {
  EXPECT_THAT(Read(RequestOf("q", {"one", "three"})), ElementsAre("one", "three"));
  EXPECT_THAT(Read(RequestOf("q", {"one", "three"})), IsEmpty());
  EXPECT_THAT(Read(RequestOf("q", {"fifteen", "three", "four", "one"})), ElementsAre("fifteen", "four"));
  EXPECT_THAT(Read(RequestOf("q2", {"one"})), ElementsAre("one"));
}

TEST_F(ReadingTest, WhateverAReadingDependsOnIsReadAnew) {
  v1::ReadRequest request = RequestOf("q", {"one"});
  Read(request);
  request.set_max_spans(2);
  EXPECT_THAT(Read(request), ElementsAre("one"));
  request.add_contexts("Title");
  EXPECT_THAT(Read(request), ElementsAre("one"));
  EXPECT_THAT(Read(request), IsEmpty());
  request.set_contexts(0, "Other title");
  EXPECT_THAT(Read(request), ElementsAre("one"));
  // What is joined to the same bytes is not the same.
  EXPECT_THAT(Read(RequestOf("qo", {"ne"})), ElementsAre("ne"));
  NotingReader other("g");
  EXPECT_THAT(ReadPassages(other, RequestOf("q", {"one"}), {}, &known_).status(), IsOk());
  EXPECT_THAT(other.TakeRead(), ElementsAre("one"));
}

TEST_F(ReadingTest, CallersDoNotFindWhatOthersAsked) {
  const CallContext a = CallContext().WithScope({.tenant = "a"}), b = CallContext().WithScope({.tenant = "b"});
  const v1::ReadRequest request = RequestOf("q", {"one"});
  EXPECT_THAT(Read(request, a), ElementsAre("one"));
  EXPECT_THAT(Read(request, b), ElementsAre("one"));
  EXPECT_THAT(Read(request), ElementsAre("one"));
  EXPECT_THAT(Read(request, a), IsEmpty());
}

TEST_F(ReadingTest, ErrorsNameThePassageByItsPlaceAndNothingIsKept) {
  Read(RequestOf("q", {"one", "three"}));
  EXPECT_THAT(ReadPassages(reader_, RequestOf("q", {"one", "four", " ", "three"}), {}, &known_).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("passage 2 ")));
  EXPECT_THAT(Read(RequestOf("q", {"four"})), ElementsAre("four"));
  CallContext cancelled;
  cancelled.Cancel();
  EXPECT_THAT(ReadPassages(reader_, RequestOf("q", {"one"}), cancelled, &known_).status(),
              StatusIs(absl::StatusCode::kCancelled, ::testing::_));
}

TEST_F(ReadingTest, WhatHasNoRoomIsReadAgain) {
  ReadingCache none(0);
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(ReadPassages(reader_, RequestOf("q", {"one"}), {}, &none).status(), IsOk());
    EXPECT_THAT(reader_.TakeRead(), ElementsAre("one"));
  }
}

}  // namespace
}  // namespace lastro::services
