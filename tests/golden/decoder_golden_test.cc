// Decoder logits against transformers, for every folder of tests/golden/models that has logits (export_models.py and
// export_families.py write them): in one piece, in odd pieces and token by token; in fp32 and bf16.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/decoder_model.h"
#include "engine/runtime.h"
#include "engine/safetensors.h"
#include "kernels/cpu_features.h"
#include "tests/golden/golden_util.h"
#include "tests/test_util.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

struct Case {
  int length;
  int stride;  // positions whose logits are stored
};
constexpr Case kCases[] = {{1, 1}, {17, 1}, {129, 4}, {300, 9}};

// Longer cases are left out where a device is emulated (tests/gpu).
#ifndef LASTRO_GOLDEN_LONGEST
#define LASTRO_GOLDEN_LONGEST 300
#endif

// Logits of all positions, [ids, vocab], from Extend calls of the given sizes (the last repeats).
std::vector<float> LogitsInPieces(const DecoderModel& model, const std::vector<int32_t>& ids,
                                  const std::vector<size_t>& pieces) {
  auto session = model.NewSession(static_cast<int>(ids.size()));
  EXPECT_THAT(session, testing::IsOk());
  std::vector<float> all;
  size_t begin = 0, piece = 0;
  while (begin < ids.size()) {
    const size_t count = std::min(pieces[std::min(piece++, pieces.size() - 1)], ids.size() - begin);
    std::vector<float> logits;
    EXPECT_THAT(
        (*session)->Extend(absl::MakeConstSpan(ids).subspan(begin, count), LogitsOf::kAll, CallContext(), &logits),
        testing::IsOk());
    all.insert(all.end(), logits.begin(), logits.end());
    begin += count;
  }
  return all;
}

struct Difference {
  double largest = 0;    // absolute
  double relative = 0;   // root of sum of squared differences over that of the expected values
  double typical = 0;    // the same of each row: the median
  int other_argmax = 0;  // rows whose best token differs though the reference's margin is clear
};

Difference Compare(const std::vector<float>& all, const testing::GoldenTensor& expected, int stride, double margin) {
  const int64_t vocab = expected.shape[1];
  Difference difference;
  double error = 0, norm = 0;
  std::vector<double> rows;
  for (int64_t row = 0; row < expected.shape[0]; ++row) {
    const float* want = expected.floats.data() + row * vocab;
    const float* got = all.data() + row * stride * vocab;
    double row_error = 0, row_norm = 0;
    for (int64_t i = 0; i < vocab; ++i) {
      const double delta = static_cast<double>(got[i]) - want[i];
      // Not std::max: a NaN must not pass.
      if (!(std::abs(delta) <= difference.largest)) difference.largest = std::abs(delta);
      row_error += delta * delta;
      row_norm += static_cast<double>(want[i]) * want[i];
    }
    error += row_error;
    norm += row_norm;
    rows.push_back(std::sqrt(row_error / row_norm));
    const int64_t best = std::max_element(want, want + vocab) - want, mine = std::max_element(got, got + vocab) - got;
    if (best != mine && want[best] - want[mine] > margin) ++difference.other_argmax;
  }
  difference.relative = std::sqrt(error / norm);
  std::nth_element(rows.begin(), rows.begin() + static_cast<int64_t>(rows.size() / 2), rows.end());
  difference.typical = rows[rows.size() / 2];
  return difference;
}

class DecoderGolden : public ::testing::TestWithParam<std::string> {
 protected:
  static bool IsMixture() {
    return GetParam().rfind("gpt-oss", 0) == 0 || GetParam().rfind("mixtral", 0) == 0 ||
           GetParam().rfind("qwen3-moe", 0) == 0;
  }
  // Runs every case of at most `longest` tokens in pieces of the given sizes and calls check(difference).
  template <class Check>
  void ForCases(ComputeType type, const std::vector<size_t>& pieces, double margin, Check check) {
    ForCases(testing::GoldenPath(GetParam()), *NewRuntime(type), pieces, margin, check);
  }
  template <class Check>
  void ForCases(const std::string& folder, const Runtime& runtime, const std::vector<size_t>& pieces, double margin,
                Check check, int64_t longest = LASTRO_GOLDEN_LONGEST) {
    ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(folder, runtime));
    ASSERT_OK_AND_ASSIGN(auto expected, SafetensorsFile::Open(folder + "/expected.safetensors"));
    for (const Case& c : kCases) {
      if (c.length > longest) continue;
      SCOPED_TRACE(c.length);
      const auto ids = testing::ReadGolden(expected, "ids." + std::to_string(c.length));
      const auto logits = testing::ReadGolden(expected, "logits." + std::to_string(c.length));
      ASSERT_EQ(ids.ints.size(), static_cast<size_t>(c.length));
      ASSERT_EQ(logits.shape, (std::vector<int64_t>{(c.length + c.stride - 1) / c.stride, model->info().vocab_size}));
      const std::vector<float> all = LogitsInPieces(*model, ids.ints, pieces);
      ASSERT_EQ(all.size(), ids.ints.size() * static_cast<size_t>(model->info().vocab_size));
      check(Compare(all, logits, c.stride, margin));
    }
  }

  void ExpectFp32(const std::vector<size_t>& pieces) {
    const double tolerance = testing::Tolerance(GetParam());
    ForCases(ComputeType::kFloat32, pieces, 2e-4, [&](const Difference& d) {
      EXPECT_LE(d.largest, tolerance);
      EXPECT_EQ(d.other_argmax, 0);
    });
  }
};

TEST_P(DecoderGolden, Fp32InOnePiece) { ExpectFp32({300}); }
TEST_P(DecoderGolden, Fp32InOddPieces) { ExpectFp32({1, 7, 16, 2, 33, 3, 100, 5}); }
TEST_P(DecoderGolden, Fp32TokenByToken) { ExpectFp32({1}); }

// All cases at once, five tokens of each to a step.
TEST_P(DecoderGolden, Fp32InCommonSteps) {
  const std::string folder = testing::GoldenPath(GetParam());
  auto runtime = NewRuntime(ComputeType::kFloat32);
  ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(folder, *runtime));
  ASSERT_OK_AND_ASSIGN(auto expected, SafetensorsFile::Open(folder + "/expected.safetensors"));
  struct Text {
    std::vector<int32_t> ids;
    std::unique_ptr<DecoderSession> session;
    std::vector<float> logits, all;
  };
  Text texts[std::size(kCases)];
  for (size_t i = 0; i < std::size(kCases); ++i) {
    texts[i].ids = testing::ReadGolden(expected, "ids." + std::to_string(kCases[i].length)).ints;
    ASSERT_OK_AND_ASSIGN(texts[i].session, model->NewSession(kCases[i].length));
  }
  for (size_t begin = 0; begin < 300; begin += 5) {
    std::vector<StepRequest> requests;
    for (Text& text : texts) {
      if (begin >= text.ids.size()) continue;
      requests.push_back({text.session.get(), absl::MakeConstSpan(text.ids).subspan(begin, 5), LogitsOf::kAll,
                          &text.logits, absl::OkStatus()});
    }
    Step(absl::MakeSpan(requests), CallContext());
    for (const StepRequest& request : requests) ASSERT_THAT(request.status, testing::IsOk());
    for (Text& text : texts) {
      if (begin < text.ids.size()) text.all.insert(text.all.end(), text.logits.begin(), text.logits.end());
    }
  }
  for (size_t i = 0; i < std::size(kCases); ++i) {
    const auto want = testing::ReadGolden(expected, "logits." + std::to_string(kCases[i].length));
    ASSERT_EQ(texts[i].all.size(), texts[i].ids.size() * static_cast<size_t>(model->info().vocab_size));
    const Difference difference = Compare(texts[i].all, want, kCases[i].stride, 2e-4);
    EXPECT_LE(difference.largest, testing::Tolerance(GetParam()));
    EXPECT_EQ(difference.other_argmax, 0);
  }
}

TEST_P(DecoderGolden, Bf16) {
  // In a mixture of experts rounding sends rows that are near a tie to another expert. With one expert a row all of its
  // MLP is then another; where activations are rounded to 8 bits or to bf16 as well, more rows are far off, but not the
  // typical one.
  const bool mixture = IsMixture();
  const bool one_expert =
      mixture && (GetParam().find("one-expert") != std::string::npos || GetParam() == "mixtral-window-f16");
  const bool rounded = std::string(LASTRO_TEST_DEVICE) != "cpu" || kernels::VnniInUse() != kernels::Vnni::kNone ||
                       (kernels::HasFastIntegers() && GetParam().find("mxfp4") != std::string::npos);
  const double bound = mixture && rounded ? 0.3 : one_expert ? 0.25 : mixture ? 5e-2 : 2e-2;
  for (const std::vector<size_t>& pieces :
       {std::vector<size_t>{300}, std::vector<size_t>{13}, std::vector<size_t>{1}}) {
    if (LASTRO_GOLDEN_LONGEST < 300 && pieces[0] != 13) continue;
    ForCases(ComputeType::kBFloat16, pieces, 0.1, [&](const Difference& d) {
      EXPECT_LE(d.typical, mixture ? 3e-2 : 2e-2);
      EXPECT_LE(d.relative, bound);
      EXPECT_TRUE((mixture && rounded) || d.other_argmax == 0) << d.other_argmax;
    });
  }
}

#ifdef LASTRO_TEST_ON_GPU
// Three bits more than bf16, and none of these models leaves its range.
TEST_P(DecoderGolden, Fp16) {
  for (const std::vector<size_t>& pieces : {std::vector<size_t>{129}, std::vector<size_t>{1}}) {
    ForCases(ComputeType::kFloat16, pieces, 2e-2, [&](const Difference& d) {
      EXPECT_LE(d.typical, 2.5e-3);
      EXPECT_TRUE(IsMixture() || d.relative <= 2.5e-3) << d.relative;
      EXPECT_TRUE(IsMixture() || d.other_argmax == 0) << d.other_argmax;
    });
  }
}

// Weights in FP8, which err by up to 6 % each, and what meets them: on weights that no training made even, by so much.
TEST_P(DecoderGolden, Fp8) {
  for (const std::vector<size_t>& pieces : {std::vector<size_t>{129}, std::vector<size_t>{1}}) {
    ForCases(ComputeType::kFloat8, pieces, 2.0, [&](const Difference& d) {
      EXPECT_LE(d.typical, 0.25);
      EXPECT_TRUE(IsMixture() || d.other_argmax == 0) << d.other_argmax;
    });
  }
}
#endif

// Keys and values in fewer bits than the rest. In a mixture of experts some rows go to other experts, as above.
TEST_P(DecoderGolden, RoundedTokens) {
  if (std::string(LASTRO_TEST_DEVICE) != "cpu") GTEST_SKIP() << "a GPU keeps tokens in the type it computes in";
  for (const auto& [type, bound] : {std::pair(kernels::KvType::kF16, 2e-3), std::pair(kernels::KvType::kInt8, 2e-2)}) {
    SCOPED_TRACE(bound);
    for (const std::vector<size_t>& pieces : {std::vector<size_t>{300}, std::vector<size_t>{13}}) {
      const auto runtime = NewRuntime(ComputeType::kFloat32, 2, type);
      ForCases(testing::GoldenPath(GetParam()), *runtime, pieces, 0, [&, bound = bound](const Difference& d) {
        EXPECT_LE(d.typical, bound);
        EXPECT_TRUE(d.largest > 0 || type == kernels::KvType::kF16);
      });
    }
  }
}

// The comparison itself: a wrong weight must fail by far. Guards against tolerances that cannot fail.
TEST_P(DecoderGolden, OtherPromptDiffers) {
  const std::string folder = testing::GoldenPath(GetParam());
  auto runtime = NewRuntime(ComputeType::kFloat32);
  ASSERT_OK_AND_ASSIGN(auto model, DecoderModel::Load(folder, *runtime));
  ASSERT_OK_AND_ASSIGN(auto expected, SafetensorsFile::Open(folder + "/expected.safetensors"));
  auto ids = testing::ReadGolden(expected, "ids.17");
  ids.ints[0] = 3 + (ids.ints[0] - 2) % 170;
  const auto all = LogitsInPieces(*model, ids.ints, {17});
  EXPECT_GT(Compare(all, testing::ReadGolden(expected, "logits.17"), 1, 0).largest, 1e-2);
}

// Each fact of the configuration that reference.json lists, changed a little, must show by far: none is ignored, and
// the prompts are long enough to see it.
TEST_P(DecoderGolden, ChangedFactsShow) {
  for (const auto& [from, to] : testing::Perturbations(GetParam())) {
    SCOPED_TRACE(from + " -> " + to);
    EditedModel changed(GetParam());
    changed.Edit("config.json", from, to);
    double largest = 0;
    ForCases(
        changed.path(), *NewRuntime(), {300}, 0, [&](const Difference& d) { largest = std::max(largest, d.largest); },
        300);
    EXPECT_GT(largest, 2e-3);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, DecoderGolden, ::testing::ValuesIn(testing::GoldenFolders("logits.17")),
                         [](const auto& info) { return testing::TestName(info.param); });

}  // namespace
}  // namespace lastro::engine
